// One room as this page knows it: its log, its people, what is not sent yet.
import { Refused } from './line.js';
import { id } from './text.js';

const KEPT = 1500; // entries; older ones can be asked for again
const TYPING = 5000; // how long somebody counts as writing

export class Room {
  /** changed is called whenever there is something to show. */
  constructor(name, line, changed) {
    this.name = name;
    this.line = line;
    this.changed = changed;
    this.entries = []; // by seq
    this.last = 0; // everything up to here was heard
    this.early = new Map(); // entries that came before those between, by seq
    this.people = new Set();
    this.typing = new Map(); // name to timer
    this.outbox = []; // {id, text, at, state: sending, sent, failed; why}
    this.unread = 0;
    this.read = 0; // the newest that was seen
    this.joined = false;
    this.older = false; // there are older messages to ask for
    this.nick = '';
    this.by = '';
  }

  async join() {
    if (this.joining) return;
    this.joining = true;
    try {
      const f = await this.line.request('join', { room: this.name, after: this.last || undefined });
      const { seq = 0, entries = [] } = f;
      const all = this.last > 0 && entries.length === seq - this.last; // else the newest messages
      if (!all) {
        this.entries = [];
        this.older = Boolean(f.more);
        this.read = Math.max(this.read, this.last);
      }
      this.people = new Set(f.people ?? []);
      this.nick = f.nick;
      this.by = f.by;
      for (const e of entries) this.take(e, all);
      if (!this.last) this.read = seq;
      this.last = seq;
      this.joined = true;
      for (const item of this.outbox) if (item.state === 'sent') item.state = 'sending'; // it asks; nothing is stored twice
      this.catchUp();
      this.pump();
      setTimeout(() => this.line.ping(), 1500); // what was told while we came
    } finally {
      this.joining = false;
      this.changed();
    }
  }

  lost() {
    this.joined = false;
    this.typing.clear();
  }

  /** Takes pushed entries, in their order. */
  hear(entries) {
    for (const e of entries) if (e.seq > this.last || !this.joined) this.early.set(e.seq, e);
    if (this.joined) this.catchUp();
    this.changed();
  }

  /** A pong said how far the room is. */
  known(seq) {
    if (this.joined && seq > this.last) this.fill();
  }

  catchUp() {
    for (const seq of this.early.keys()) if (seq <= this.last) this.early.delete(seq);
    for (let e; (e = this.early.get(this.last + 1)); this.early.delete(e.seq)) {
      this.last = e.seq;
      this.take(e, true);
    }
    if (this.early.size) setTimeout(() => this.early.size && this.fill(), 300);
  }

  /** Asks for what is missing. */
  async fill() {
    if (this.filling) return;
    this.filling = true;
    try {
      for (let more = true; more; ) {
        const f = await this.line.request('history', { room: this.name, after: this.last, limit: 100 });
        this.hear(f.entries ?? []);
        more = f.more && f.entries?.length;
      }
    } catch (err) {
      if (err.code === 'notin') this.join();
    } finally {
      this.filling = false;
    }
  }

  /** Asks for messages before the oldest. */
  async back() {
    if (!this.older || this.asking) return;
    this.asking = true;
    try {
      const f = await this.line.request('history', { room: this.name, before: this.entries[0]?.seq ?? this.last + 1 });
      this.entries.unshift(...(f.entries ?? []));
      this.older = Boolean(f.more);
    } catch {
      // the button stays
    } finally {
      this.asking = false;
      this.changed();
    }
  }

  /** Takes one entry. live tells news from history. */
  take(e, live) {
    if (e.kind === 'void') return;
    this.entries.push(e);
    if (this.entries.length > KEPT) this.older = Boolean(this.entries.splice(0, KEPT / 5).length);
    if (e.id) this.outbox = this.outbox.filter((item) => item.id !== e.id);
    if (!live) return;
    if (e.kind === 'join') this.people.add(e.nick);
    if (e.kind === 'leave') this.people.delete(e.nick);
    if (e.kind === 'rename') {
      this.people.delete(e.nick);
      this.people.add(e.to);
    }
    this.quiet(e.nick);
    if (e.kind === 'say' && e.by !== this.by) this.unread++;
  }

  /** Somebody writes. */
  writes(nick) {
    this.quiet(nick);
    this.typing.set(nick, setTimeout(() => (this.quiet(nick), this.changed()), TYPING));
    this.changed();
  }

  quiet(nick) {
    clearTimeout(this.typing.get(nick));
    this.typing.delete(nick);
  }

  say(text) {
    this.outbox.push({ id: id(), text, at: Date.now(), state: 'sending' });
    this.pump();
    this.changed();
  }

  again(item) {
    item.state = 'sending';
    this.pump();
    this.changed();
  }

  /** Sends what waits, one after the other: that keeps their order. */
  async pump() {
    if (this.pumping) return;
    this.pumping = true;
    for (let item; this.joined && (item = this.outbox.find((i) => i.state === 'sending')); this.changed()) {
      try {
        const f = await this.line.request('say', { room: this.name, id: item.id, text: item.text });
        item.state = 'sent';
        if (f.seq <= this.last) this.outbox = this.outbox.filter((i) => i !== item); // heard already
        setTimeout(() => this.outbox.includes(item) && this.line.ping(), 3000); // a courier may have been lost
      } catch (err) {
        if (err.code === 'slow') {
          await new Promise((done) => setTimeout(done, 1000 * (err.retryAfter || 1)));
        } else if (err.code === 'notin') {
          this.joined = false;
          this.join().catch(() => {});
        } else if (!(err instanceof Refused) || err.code !== 'lost') {
          item.state = 'failed';
          item.why = err.message;
        } else {
          break; // it is sent again after the next join
        }
      }
    }
    this.pumping = false;
  }

  seen() {
    this.unread = 0;
    this.read = this.last;
  }
}
