// The page: rooms, their people, and what is typed. The state is in Room, the line to the server in Line.
import { Line } from './line.js';
import { Room } from './room.js';
import { EMOJI, MAX_TEXT, cleanNick, cleanRoom, id, names } from './text.js';
import { Log, avatar, make } from './view.js';

const $ = (key) => document.getElementById(key);
const kept = {
  get: (key) => {
    try {
      return JSON.parse(localStorage.getItem('chat.' + key));
    } catch {
      return null;
    }
  },
  set: (key, value) => {
    try {
      localStorage.setItem('chat.' + key, JSON.stringify(value));
    } catch {
      // not kept, then
    }
  },
};

// A browser has one id for ever, a tab one as long as it lives. A tab that is a copy of another finds none: it is
// there only between leaving a page and coming back.
const user = kept.get('user') ?? id();
kept.set('user', user);
let tab = '';
function takeTab() {
  try {
    tab = sessionStorage.getItem('chat.tab') || tab || id().slice(0, 16);
    sessionStorage.removeItem('chat.tab');
  } catch {
    tab ||= id().slice(0, 16);
  }
}
takeTab();
addEventListener('pageshow', (e) => e.persisted && takeTab());
addEventListener('pagehide', () => {
  try {
    sessionStorage.setItem('chat.tab', tab);
  } catch {
    // the next page is another one
  }
});

let nick = kept.get('nick') ?? '';
const rooms = new Map(); // by name
let now; // the room that is shown
let divider = 0; // after this number is what was new when the room was opened
let pending = 0; // the next drawing
const log = new Log($('log'));
const scroll = $('scroll');

const line = new Line(document.querySelector('meta[name=socket]').content, () => ({ nick, session: `${user}.${tab}` }), {
  open: () => rooms.forEach((room) => room.join().catch((err) => toast(err.message))),
  state: (state) => {
    if (state !== 'open') rooms.forEach((room) => room.lost());
    changed();
  },
  frame: (f) => {
    const room = rooms.get(f.room);
    if (f.type === 'log') room?.hear(f.entries);
    if (f.type === 'typing') room?.writes(f.nick);
    if (f.type === 'pong') {
      for (const r of rooms.values()) {
        if (f.rooms?.[r.name] === undefined) r.join().catch(() => {});
        else r.known(f.rooms[r.name]);
      }
      if (f.more) setTimeout(() => line.ping(), 3000);
    }
    changed();
  },
});

function changed() {
  if (pending) return;
  pending = setTimeout(draw, 200); // a page that nobody looks at gets no frames
  requestAnimationFrame(() => pending && draw());
}

const looking = () => document.visibilityState === 'visible' && document.hasFocus();
const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;

function draw() {
  clearTimeout(pending);
  pending = 0;
  let elsewhere = 0, all = 0;
  const end = atEnd();
  if (now && end && looking()) now.seen();
  for (const room of rooms.values()) {
    all += room.unread;
    if (room !== now) elsewhere += room.unread;
  }
  document.title = (all ? `(${all > 99 ? '99+' : all}) ` : '') + (now ? `#${now.name}` : 'Chat');
  badge($('elsewhere'), elsewhere);
  drawRooms();
  $('my-nick').textContent = nick;
  avatar($('my-avatar'), nick || '?');
  $('status').hidden = line.state === 'open' || !now;
  $('status').textContent = navigator.onLine === false ? 'You are offline. What you write is sent when you are back.'
    : line.tries > 0 ? 'The connection was lost. Coming back…' : 'Connecting…';
  if (!now) return;
  $('room-name').textContent = now.name;
  $('count').textContent = now.people.size || '';
  $('open-people').ariaLabel = `People: ${now.people.size}`;
  $('older').hidden = !now.older;
  drawPeople();
  const writers = [...now.typing.keys()];
  $('typing').textContent = writers.length ? `${names(writers)} ${writers.length > 1 ? 'are' : 'is'} typing` : '';
  const below = scroll.scrollHeight - scroll.scrollTop, oldest = now.entries[0]?.seq;
  log.show(now, divider);
  if (end) scroll.scrollTop = scroll.scrollHeight;
  else if (oldest < now.oldest) scroll.scrollTop = scroll.scrollHeight - below; // older ones came above
  now.oldest = oldest;
  if (end && looking()) now.seen();
  $('jump').hidden = atEnd();
  $('jump').lastElementChild.textContent = now.unread ? `${now.unread} new` : 'Newest';
}

function badge(el, n) {
  el.hidden = !n;
  el.textContent = n > 99 ? '99+' : n;
}

function drawRooms() {
  const list = [...rooms.values()].map((room) => {
    const mark = make('b', 'badge');
    badge(mark, room === now ? 0 : room.unread);
    const a = make('a', '', make('span', '', room.name), mark);
    a.href = '#/' + encodeURIComponent(room.name);
    if (room === now) a.ariaCurrent = 'page';
    const leave = make('button', 'icon');
    leave.ariaLabel = leave.title = `Leave ${room.name}`;
    leave.innerHTML = '<svg><use href="#i-close"/></svg>';
    leave.onclick = () => part(room);
    return make('li', `${room === now ? 'on' : ''} ${room !== now && room.unread ? 'unread' : ''}`, a, leave);
  });
  same($('room-list'), list);
}

function drawPeople() {
  const list = [...now.people].sort((a, b) => (b === now.nick) - (a === now.nick) || a.localeCompare(b)).map((name) => {
    const face = avatar(make('span', 'avatar'), name);
    face.ariaHidden = 'true';
    return make('li', '', face, make('span', '', name, name === now.nick ? make('small', '', ' (you)') : ''));
  });
  same($('people-list'), list);
}

/** Puts a new list in place of one that looks otherwise: the focus stays where it was if nothing changed. */
function same(el, list) {
  const next = make('ul', '', ...list);
  if (next.innerHTML !== el.innerHTML) el.replaceChildren(...list);
}

// Rooms

function enter(name) {
  let room = rooms.get(name);
  if (!room) {
    room = new Room(name, line, changed);
    rooms.set(name, room);
    kept.set('rooms', [...rooms.keys()]);
    if (line.state === 'open') {
      room.join().catch((err) => {
        toast(err.message);
        if (err.code === 'full' || err.code === 'invalid') part(room, true);
      });
    }
  }
  if (room !== now) {
    if (now) drafts.set(now.name, $('text').value);
    now = room;
    divider = room.unread ? room.read : 0;
    $('text').value = drafts.get(name) ?? '';
    typed();
    log.show(room, divider);
    scroll.scrollTop = scroll.scrollHeight;
  }
  show();
  changed();
}
const drafts = new Map();

async function part(room, silently) {
  rooms.delete(room.name);
  kept.set('rooms', [...rooms.keys()]);
  if (!silently) line.request('leave', { room: room.name }).catch(() => {});
  if (room === now) {
    now = undefined;
    const next = rooms.keys().next().value;
    location.hash = next ? '#/' + encodeURIComponent(next) : '';
    if (!next) $('welcome').hidden = !($('chat').hidden = true);
  }
  changed();
}

function route() {
  let name = '';
  try {
    name = cleanRoom(decodeURIComponent(location.hash.replace(/^#\/?/, '')));
  } catch {
    // not an address of ours
  }
  if (nick && name) return start(name);
  $('enter-room').value = name || 'lobby';
  const first = kept.get('rooms')?.[0];
  if (nick && first && !name && !now) location.replace('#/' + encodeURIComponent(first));
  else if (!now) {
    $('enter-nick').value = nick;
    $('welcome').hidden = false;
    $('enter-nick').focus();
  }
}

function start(name) {
  $('welcome').hidden = true;
  $('chat').hidden = false;
  if (!line.state) {
    for (const known of kept.get('rooms') ?? []) if (known !== name) rooms.set(known, new Room(known, line, changed));
    enter(name);
    line.open();
  } else enter(name);
  if (matchMedia('(hover: hover)').matches) $('text').focus();
}

$('enter').onsubmit = (e) => {
  e.preventDefault();
  const name = cleanNick($('enter-nick').value), room = cleanRoom($('enter-room').value);
  $('enter-wrong').textContent = !name ? 'Tell the others your name.' : !room ? 'A room’s name has letters, digits, - and _.' : '';
  if (!name || !room) return $(name ? 'enter-room' : 'enter-nick').focus();
  nick = name;
  kept.set('nick', nick);
  if (location.hash === '#/' + encodeURIComponent(room)) route();
  else location.hash = '#/' + encodeURIComponent(room);
};

$('add').onsubmit = (e) => {
  e.preventDefault();
  const room = cleanRoom($('add-room').value);
  if (!room) return toast('A room’s name has letters, digits, - and _.');
  $('add-room').value = '';
  location.hash = '#/' + encodeURIComponent(room);
};

$('rename').onclick = () => {
  $('name-nick').value = nick;
  $('name').showModal();
  $('name-nick').select();
};
$('name-no').onclick = () => $('name').close();
$('name').firstElementChild.onsubmit = async (e) => {
  e.preventDefault();
  $('name').close();
  const name = cleanNick($('name-nick').value);
  if (!name || name === nick) return;
  try {
    const f = await line.request('rename', { nick: name });
    nick = f.nick;
    kept.set('nick', nick);
    for (const room of rooms.values()) room.nick = f.nicks?.[room.name] ?? room.nick;
    changed();
  } catch (err) {
    toast(err.message);
  }
};

// Writing

let told = 0; // when the others last heard that we write
function typed() {
  const el = $('text'), length = [...el.value.trim()].length;
  el.style.height = 'auto';
  el.style.height = el.scrollHeight + 2 + 'px';
  $('send').disabled = length === 0 || length > MAX_TEXT;
  $('left').textContent = length > MAX_TEXT - 200 ? MAX_TEXT - length : '';
  $('left').className = length > MAX_TEXT ? 'over' : '';
}

$('text').oninput = () => {
  typed();
  if ($('text').value.trim() && now?.joined && Date.now() - told > 3000) {
    told = Date.now();
    line.tell('typing', { room: now.name });
  }
};

// Enter sends, with Shift it does not; on a phone it makes a new line.
let shift = false;
$('text').onkeydown = (e) => (shift = e.shiftKey);
$('text').onbeforeinput = (e) => {
  if (e.inputType !== 'insertLineBreak' || shift || matchMedia('(pointer: coarse)').matches) return;
  e.preventDefault();
  $('say').requestSubmit();
};

$('say').onsubmit = (e) => {
  e.preventDefault();
  const text = $('text').value.trim();
  if (!text || !now || [...text].length > MAX_TEXT) return;
  $('text').value = '';
  told = 0;
  divider = 0;
  $('emojis').hidden = true;
  typed();
  now.say(text);
  requestAnimationFrame(() => (scroll.scrollTop = scroll.scrollHeight));
  $('text').focus();
};

for (const face of EMOJI) {
  const b = make('button', '', face);
  b.type = 'button';
  b.onclick = () => {
    const el = $('text');
    el.setRangeText(face, el.selectionStart, el.selectionEnd, 'end');
    el.focus();
    typed();
  };
  $('emojis').append(b);
}
$('emoji').onclick = () => {
  $('emojis').hidden = !$('emojis').hidden;
  $('emoji').ariaExpanded = String(!$('emojis').hidden);
};

// Looking

scroll.onscroll = () => {
  if (scroll.scrollTop < 40 && now?.older) now.back();
  if (now && atEnd() && looking() && now.unread) changed();
  $('jump').hidden = atEnd();
};
$('older').onclick = () => now?.back();
$('jump').onclick = () => {
  scroll.scrollTo({ top: scroll.scrollHeight, behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
  changed();
};
addEventListener('focus', changed);
addEventListener('blur', () => {
  if (now && !now.unread) divider = now.last;
});
document.addEventListener('visibilitychange', changed);
new ResizeObserver(() => {
  if ($('jump').hidden) scroll.scrollTop = scroll.scrollHeight; // a keyboard came up: the newest stay in sight
}).observe(scroll);

function show(what) {
  document.body.classList.toggle('show-rooms', what === 'rooms');
  document.body.classList.toggle('show-people', what === 'people');
  $('shade').hidden = !what;
}
$('open-rooms').onclick = () => show('rooms');
$('open-people').onclick = () => matchMedia('(max-width: 1020px)').matches && show('people');
for (const el of document.querySelectorAll('[data-close]')) el.onclick = () => show();
addEventListener('keydown', (e) => {
  if (e.key !== 'Escape') return;
  show();
  $('emojis').hidden = true;
});
document.addEventListener('click', (e) => {
  if (!e.target.closest('#emojis, #emoji')) $('emojis').hidden = true;
});

$('share').onclick = async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    toast('The link to this room is copied.');
  } catch {
    prompt('The link to this room:', location.href);
  }
};

let theme = kept.get('theme') ?? '';
const paint = () => (document.documentElement.style.colorScheme = theme);
paint();
$('theme').onclick = () => {
  const dark = theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  theme = dark ? 'light' : 'dark';
  kept.set('theme', theme);
  paint();
};

let toasted;
function toast(text) {
  $('toast').textContent = text;
  $('toast').hidden = false;
  clearTimeout(toasted);
  toasted = setTimeout(() => ($('toast').hidden = true), 4000);
}

addEventListener('hashchange', route);
route();
