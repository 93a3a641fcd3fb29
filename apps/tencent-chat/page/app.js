import { Line, id } from './line.js';

const MAX = 1000; // characters
const CROWD = 50; // of more people the server names only some
const OVERLAP = 30_000; // messages this much older than the newest may have come after it
const $ = (name) => document.getElementById(name);

const session = sessionStorage.session ??= id(); // the same after a reload
const entries = new Map(); // by key
const notes = []; // who came and went: {key, text}
const outbox = []; // {id, text, at, state: waiting sending failed, why}
const names = new Map(); // of those who are here, by name
let me = {};
let seq = 0;

const line = new Line(() => ({ name: localStorage.name, session }), {
  hello() {
    const at = Math.max(0, ...[...entries.values()].map((e) => e.at));
    return { action: 'hello', after: at ? String(at - OVERLAP).padStart(13, '0') : '' };
  },
  state(state) {
    document.body.classList.toggle('away', state !== 'open'); // who is here is not known then
    $('status').hidden = state === 'open' || (state === 'connecting' && !line?.tries);
    $('status').replaceChildren(state === 'taken' ? 'The chat goes on in another tab. ' : 'No connection. Trying again …');
    if (state === 'taken') $('status').append(button('Here, please', () => line.open()));
    for (const item of outbox) if (item.state === 'sending') item.state = 'waiting';
    if (state === 'open') flush();
    draw();
  },
  frame(f) {
    frames[f.type]?.(f);
    if (f.people) count(f.people);
    draw();
  },
});

const frames = {
  hello(f) {
    me = f.you;
    $('me').hidden = $('count').hidden = false;
    $('me').textContent = me.name;
    names.clear();
    for (const name of f.names ?? []) names.set(name, true);
    for (const e of f.entries ?? []) entries.set(e.key, e);
  },
  said(f) {
    entries.set(f.entry.key, f.entry);
    if (f.entry.by !== me.by) return;
    const i = outbox.findIndex((item) => item.id === f.entry.id);
    if (i >= 0) outbox.splice(i, 1);
    flush();
  },
  joined: (f) => came(f, true),
  left: (f) => came(f, false),
  pong(f) {
    if (f.last && !entries.has(f.last)) line.send({ action: 'hello' });
  },
  error(f) {
    const item = outbox.find((item) => item.id === f.id && item.state === 'sending');
    if (!item) return;
    item.state = 'waiting';
    if (f.code === 'slow') setTimeout(flush, f.retryAfter * 1000);
    else {
      item.state = 'failed';
      item.why = f.message;
      flush();
    }
  },
};

function came(f, here) {
  if (f.by === me.by) return;
  if (here) names.set(f.name, true);
  else names.delete(f.name);
  const last = [...entries.values()].reduce((a, e) => (e.key > a ? e.key : a), '');
  notes.push({ key: `${last || ' '}~${String(seq++).padStart(6, '0')}`, text: `${f.name} ${here ? 'came in' : 'left'}` });
  if (notes.length > 100) notes.shift();
}

function count(n) {
  $('count').textContent = `${n} here`;
  const list = [...names.keys()].sort((a, b) => a.localeCompare(b)).map((name) => make('li', '', name === me.name ? `${name} (you)` : name));
  if (n > CROWD) list.push(make('li', '', `${n - Math.min(list.length, n)} more`));
  $('people').firstElementChild.replaceChildren(...list);
}

// Sending: one after the other, so that they stay in order.

function flush() {
  if (line.state !== 'open' || outbox.some((item) => item.state === 'sending')) return;
  const item = outbox.find((item) => item.state === 'waiting');
  if (!item) return;
  item.state = 'sending';
  item.sent = Date.now();
  line.send({ action: 'say', id: item.id, text: item.text });
  line.wait();
}

setInterval(() => { // an acknowledgement that did not come: what is said twice is kept once
  for (const item of outbox) if (item.state === 'sending' && Date.now() - item.sent > 15_000) item.state = 'waiting';
  flush();
}, 5000);

function say() {
  const text = $('text').value.trim();
  if (!text || [...text].length > MAX) return;
  outbox.push({ id: id(), text, at: Date.now(), state: 'waiting' });
  $('text').value = '';
  typed();
  flush();
  draw(true);
}

// Drawing. Elements stay as long as what they show is the same.

let drawn = new Map();

function draw(down = false) {
  const scroll = $('scroll');
  const atEnd = down || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  const rows = [...entries.values(), ...notes].sort((a, b) => (a.key < b.key ? -1 : 1));
  const next = new Map();
  let before;
  const row = (key, sig, build) => {
    const old = drawn.get(key);
    next.set(key, old?.sig === sig ? old : { sig, el: build() });
  };
  for (const e of rows) {
    if (!e.id) row(e.key, '', () => make('li', 'note', e.text));
    else {
      const first = before?.by !== e.by || before.name !== e.name || e.at - before.at > 300_000;
      row(e.key, `${first}`, () => message(e, first));
    }
    before = e;
  }
  for (const item of outbox) {
    row(item.id, item.state, () => waiting(item));
  }
  if (next.size === 0 && me.name) row('empty', '', () => make('li', 'note', 'Nothing was said yet. Say hello!'));
  drawn = next;
  let at = $('log').firstChild;
  for (const { el } of next.values()) {
    if (el === at) at = at.nextSibling;
    else $('log').insertBefore(el, at);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
}

function message(e, first) {
  const li = make('li', `${e.by === me.by ? 'mine' : ''} ${first ? 'first' : ''}`);
  const at = new Date(e.at);
  if (first) {
    const time = make('time', '', at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
    if (at.toDateString() !== new Date().toDateString()) time.prepend(at.toLocaleDateString([], { day: 'numeric', month: 'short' }), ' ');
    const h = make('h2', '', e.by === me.by ? 'You' : e.name, time);
    h.style.setProperty('--h', [...e.name].reduce((n, c) => (n * 31 + c.codePointAt(0)) % 360, 7));
    li.append(h);
  }
  li.append(make('div', 'bubble', ...linked(e.text)));
  li.title = at.toLocaleString();
  return li;
}

function waiting(item) {
  const li = make('li', `mine first ${item.state === 'failed' ? 'failed' : 'sending'}`, make('div', 'bubble', ...linked(item.text)));
  const mark = make('span', 'mark', item.state === 'failed' ? item.why : item.state === 'sending' ? 'Sending …' : 'Waiting …');
  if (item.state === 'failed') {
    mark.append(button('Try again', () => {
      item.state = 'waiting';
      flush();
      draw();
    }), button('Delete', () => {
      outbox.splice(outbox.indexOf(item), 1);
      draw();
    }));
  }
  li.append(mark);
  return li;
}

/** A text whose web addresses can be clicked. It never becomes HTML. */
function linked(text) {
  return text.split(/(\bhttps?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)])/).map((part, i) => {
    if (i % 2 === 0 || !URL.canParse(part)) return part;
    const a = make('a', '', part);
    a.href = part;
    a.target = '_blank';
    a.rel = 'noopener noreferrer nofollow';
    return a;
  });
}

function make(tag, className, ...children) {
  const el = document.createElement(tag);
  if (className) el.className = className;
  el.append(...children);
  return el;
}

function button(text, click) {
  const b = make('button', '', text);
  b.type = 'button';
  b.onclick = click;
  return b;
}

// What people do.

function typed() {
  const left = MAX - [...$('text').value.trim()].length;
  $('left').textContent = left < 100 ? left : '';
  $('left').classList.toggle('over', left < 0);
  $('send').disabled = left === MAX || left < 0;
  $('text').style.height = 'auto';
  $('text').style.height = `${$('text').scrollHeight + 2}px`;
}

$('text').oninput = typed;
let shift = false; // Enter sends; with Shift, or on a phone, it makes a new line
$('text').onkeydown = (e) => (shift = e.shiftKey);
$('text').onbeforeinput = (e) => {
  if (e.inputType !== 'insertLineBreak' || shift || matchMedia('(pointer: coarse)').matches) return;
  e.preventDefault();
  say();
};
$('say').onsubmit = (e) => {
  e.preventDefault();
  say();
  $('text').focus();
};
$('count').onclick = () => {
  $('people').hidden = !$('people').hidden;
  $('count').ariaExpanded = String(!$('people').hidden);
};
$('me').onclick = () => ask();

function ask() {
  $('name').value = localStorage.name ?? '';
  $('enter').showModal();
}

$('enter').onclose = () => {
  const name = $('name').value.trim();
  if ($('enter').returnValue === 'stay' || !name) return localStorage.name || ask();
  if (name === localStorage.name && line.state) return;
  localStorage.name = name;
  line.open();
};
$('enter').oncancel = () => ($('enter').returnValue = 'stay');
$('enter').querySelector('button').value = 'go';

if (localStorage.name) line.open();
else ask();
