// What this player has said: kept on the phone, sent one after the other, each until it is known
// to have arrived.
import { ApiError, call, type Receipt } from '../lib/api.ts';
import { randomId } from '../lib/id.ts';

export type State = 'queued' | 'sending' | 'later' | 'shown' | 'waiting' | 'rejected' | 'failed';

export interface Own {
  cid: string;
  text: string;
  name: string;
  color: string;
  size: string;
  at: number; // unix ms
  state: State;
  id?: number;
  error?: string; // an ApiError's code
}

const KEY = 'barrage-own';
const KEPT = 50;
const STATES: State[] = ['waiting', 'shown', 'rejected'];

export class Outbox {
  /** Oldest first. */
  own = $state<Own[]>(load());
  /** Until when the server wants no message from this device, unix ms. */
  blockedUntil = $state(0);
  private running = false;

  constructor(private readonly fromId: string) {
    void this.run();
  }

  say(text: string, name: string, color: string, size: string): void {
    this.own.push({ cid: randomId(), text, name, color, size, at: Date.now(), state: 'queued' });
    if (this.own.length > KEPT) this.own = this.own.slice(-KEPT);
    this.save();
    void this.run();
  }

  retry(cid: string): void {
    const m = this.find(cid);
    if (m?.state !== 'failed') return;
    m.state = 'queued';
    m.error = undefined;
    void this.run();
  }

  remove(cid: string): void {
    this.own = this.own.filter((m) => m.cid !== cid);
    this.save();
  }

  /** Takes in what the wall says about a message. */
  told(r: { cid?: string; id?: number; checkStatus?: number }): void {
    const m = this.own.find((m) => (r.cid ? m.cid === r.cid : m.id !== undefined && m.id === r.id));
    if (!m || r.checkStatus === undefined) return;
    m.state = STATES[r.checkStatus] ?? 'waiting';
    m.id = r.id ?? m.id;
    this.save();
  }

  /** Asks about the messages that wait for a moderator. */
  async ask(): Promise<void> {
    const cids = this.own.filter((m) => m.state === 'waiting').map((m) => m.cid);
    if (!cids.length) return;
    try {
      const { receipts } = await call<{ receipts: Receipt[] }>('POST', '/receipts', { fromId: this.fromId, cids });
      receipts.forEach((r) => this.told(r));
    } catch {
      // asked again soon
    }
  }

  private find(cid: string): Own | undefined {
    return this.own.find((m) => m.cid === cid);
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    for (let next; (next = this.own.find((m) => m.state === 'queued')); ) await this.send(next.cid);
    this.running = false;
  }

  /** Sends one message; the same cid each time, so the wall keeps it once. */
  private async send(cid: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      const m = this.find(cid);
      if (!m) return;
      try {
        m.state = 'sending';
        const post = { cid, fromId: this.fromId, fromName: m.name, message: m.text, color: m.color, fontSize: m.size };
        this.told(await call<Receipt>('POST', '/send', post));
        return;
      } catch (e) {
        const error = e instanceof ApiError ? e : new ApiError('offline');
        if (error.code === 'slow') {
          this.blockedUntil = Date.now() + error.retryAfter * 1000;
          m.state = 'later';
        } else if (!error.temporary || tries >= 4) {
          m.state = 'failed';
          m.error = error.code;
          this.save();
          return;
        }
        await new Promise((r) => setTimeout(r, error.retryAfter ? error.retryAfter * 1000 + 50 : 700 * 2 ** tries * (0.5 + Math.random())));
      }
    }
  }

  private save(): void {
    localStorage.setItem(KEY, JSON.stringify(this.own));
  }
}

function load(): Own[] {
  try {
    const own = JSON.parse(localStorage.getItem(KEY) ?? '[]') as Own[];
    // What was under way when the page went away is sent again.
    return own.map((m) => (m.state === 'sending' || m.state === 'later' ? { ...m, state: 'queued' as const } : m));
  } catch {
    return [];
  }
}
