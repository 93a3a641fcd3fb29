// What a room's log looks like. Elements are kept as long as what they show is the same, so a selection, a
// screen reader and the scroll bar are not disturbed.
import { clock, day, full, hue, initial, linkify, names, onlyEmoji } from './text.js';

const TOGETHER = 5 * 60_000; // messages of one person within this stand together

export function make(tag, className, ...children) {
  const el = document.createElement(tag);
  if (className) el.className = className;
  el.append(...children);
  return el;
}

export function avatar(el, name) {
  el.textContent = initial(name);
  el.style.setProperty('--h', hue(name));
  return el;
}

/** The list of what a log shows: {key, sig, draw}. A changed sig draws anew. */
function rows(room, divider) {
  const list = [];
  let before, today, crowd;
  const on = (at) => {
    const d = day(at);
    if (d === today) return;
    today = d;
    before = undefined;
    list.push({ key: 'day' + d, sig: d, draw: () => make('li', 'day', d) });
  };
  let cut = divider > 0;
  for (const e of room.entries) {
    on(e.at);
    if (cut && e.seq > divider && e.kind === 'say' && e.by !== room.by) {
      cut = false;
      before = crowd = undefined;
      list.push({ key: 'new', sig: '', draw: () => make('li', 'new', 'New') });
    }
    if (e.kind !== 'say') {
      if (!crowd) {
        crowd = { key: 'note' + e.seq, came: new Set(), went: new Set(), other: [] };
        list.push(crowd);
      }
      before = undefined;
      note(crowd, e);
      continue;
    }
    crowd = undefined;
    const first = !before || before.nick !== e.nick || before.by !== e.by || e.at - before.at > TOGETHER;
    before = e;
    list.push({ key: e.id + e.seq, sig: String(first), draw: () => message(e, e.by === room.by, first) });
  }
  for (const item of room.outbox) {
    on(item.at);
    const first = !before || before.by !== room.by;
    before = { by: room.by, nick: room.nick, at: item.at };
    list.push({ key: 'out' + item.id, sig: item.state + first, draw: () => waiting(room, item, first) });
  }
  return list;
}

/** Adds what happened to a line about comings and goings; who came and went again is in neither list. */
function note(crowd, e) {
  if (e.kind === 'join' && !crowd.went.delete(e.nick)) crowd.came.add(e.nick);
  if (e.kind === 'leave' && !crowd.came.delete(e.nick)) crowd.went.add(e.nick);
  if (e.kind === 'rename') crowd.other.push(`${e.nick} is now ${e.to}`);
  const said = [...crowd.other];
  if (crowd.came.size) said.unshift(`${names([...crowd.came])} joined`);
  if (crowd.went.size) said.push(`${names([...crowd.went])} left`);
  crowd.sig = said.join(' · ');
  crowd.draw = () => {
    const li = make('li', 'note', crowd.sig);
    li.hidden = !crowd.sig;
    return li;
  };
}

function bubble(text) {
  const el = make('div', 'bubble');
  linkify(el, text);
  return el;
}

function when(at) {
  const t = make('time', '', clock(at));
  t.dateTime = new Date(at).toISOString();
  t.title = full(at);
  return t;
}

function message(e, mine, first) {
  const body = make('div');
  const li = make('li', ['msg', mine && 'mine', first && 'first', onlyEmoji(e.text) && 'big'].filter(Boolean).join(' '));
  li.style.setProperty('--h', hue(e.nick));
  if (first) {
    if (!mine) {
      const face = avatar(make('span', 'avatar'), e.nick);
      face.ariaHidden = 'true';
      li.append(face);
    }
    body.append(make('h3', '', mine ? '' : e.nick, when(e.at)));
  }
  const text = bubble(e.text);
  text.title = clock(e.at);
  body.append(text);
  li.append(body);
  return li;
}

function waiting(room, item, first) {
  const body = make('div', '', bubble(item.text));
  const mark = make('span', 'mark', { sending: 'Sending…', sent: 'Sent', failed: item.why || 'Not sent' }[item.state]);
  if (item.state === 'failed') {
    const again = make('button', '', 'Try again');
    again.onclick = () => room.again(item);
    mark.append(again);
  }
  body.append(mark);
  return make('li', `msg mine ${item.state} ${first ? 'first' : ''} ${onlyEmoji(item.text) ? 'big' : ''}`, body);
}

/** Draws rooms into one list. */
export class Log {
  constructor(el) {
    this.el = el;
    this.drawn = new Map();
  }

  show(room, divider) {
    if (room !== this.room) {
      this.room = room;
      this.drawn.clear();
      this.el.replaceChildren();
    }
    const list = rows(room, divider);
    if (room.joined && !room.outbox.length && !room.entries.some((e) => e.kind === 'say')) {
      list.unshift({ key: 'empty', sig: '', draw: () => make('li', 'empty', make('b', '', 'It is quiet in here'), 'Say hello, or share the link to this room.') });
    }
    const kept = new Map();
    let at = this.el.firstChild;
    for (const row of list) {
      let d = this.drawn.get(row.key);
      if (d?.sig !== row.sig) {
        const el = row.draw();
        if (d) {
          if (d.el === at) at = el;
          d.el.replaceWith(el);
        }
        d = { sig: row.sig, el };
      }
      kept.set(row.key, d);
      if (d.el === at) at = at.nextSibling;
      else this.el.insertBefore(d.el, at);
    }
    for (const [key, d] of this.drawn) if (!kept.has(key)) d.el.remove();
    this.drawn = kept;
  }
}
