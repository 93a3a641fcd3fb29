// What texts look like: links, emoji, colours, times. Nothing here makes HTML out of text.

export const MAX_TEXT = 2000;
export const EMOJI = [...new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(
  '😀😄😂🤣😊😍😘😎🤔😅😉🙃😴😢😭😡🥳🤩🤗🤯🙄😬😱🤝👍👎👏🙏💪👋✌️🤞🔥✨⭐🎉🎂🎈❤️🧡💛💚💙💜💔💯✅❌❓❗🚀☕🍕🍺🌍🌈☀️🌙🐱🐶🦄🐢🌸🍀')].map((s) => s.segment);

/** Fills an element with a text whose web addresses can be clicked. */
export function linkify(el, text) {
  const parts = text.split(/(\bhttps?:\/\/[^\s<>"']+)/g);
  for (const [i, part] of parts.entries()) {
    if (i % 2 === 0) {
      el.append(part);
      continue;
    }
    // A full stop or a bracket after an address is not of it.
    let address = part.replace(/[.,;:!?…]+$/, '');
    while (address.endsWith(')') && address.split(')').length > address.split('(').length) address = address.slice(0, -1);
    const a = document.createElement('a');
    try {
      a.href = new URL(address).href;
    } catch {
      el.append(part);
      continue;
    }
    a.target = '_blank';
    a.rel = 'noopener noreferrer nofollow';
    a.textContent = address;
    el.append(a, part.slice(address.length));
  }
}

/** Whether a text is one to three emoji and nothing else. */
export const onlyEmoji = (text) => /^(\p{Extended_Pictographic}[\u{fe0f}\u{1f3fb}-\u{1f3ff}]*(\u{200d}\p{Extended_Pictographic}\u{fe0f}?)*\s?){1,3}$/u.test(text);

/** The hue of a name: the same for everybody. */
export function hue(name) {
  let h = 2166136261;
  for (const c of name.toLowerCase()) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  return ((h ^ (h >>> 15)) >>> 0) % 360;
}

export const initial = (name) => (/\p{L}|\p{N}|\p{Extended_Pictographic}/u.exec(name)?.[0] ?? '?').toUpperCase();

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export const clock = (at) => clockFormat.format(at);
export const full = (at) => fullFormat.format(at);

export function day(at) {
  const midnight = (t) => new Date(t).setHours(0, 0, 0, 0);
  const ago = Math.round((midnight(Date.now()) - midnight(at)) / 86_400_000);
  return ago === 0 ? 'Today' : ago === 1 ? 'Yesterday' : dayFormat.format(at);
}

/** "Ann, Bob and 3 others" */
export function names(list, most = 3) {
  if (list.length > most) return `${list.slice(0, most - 1).join(', ')} and ${list.length - most + 1} others`;
  return list.length < 2 ? list.join('') : `${list.slice(0, -1).join(', ')} and ${list.at(-1)}`;
}

// The server's rules, for an answer at once (internal/chat/text.go).
export const cleanNick = (s) => s.replace(/\s+/g, ' ').trim().slice(0, 24);
export function cleanRoom(s) {
  s = s.trim().replace(/^#/, '').trim().replace(/\s+/g, '-').toLowerCase();
  return /^[\p{L}\p{M}\p{N}_-]{1,32}$/u.test(s) ? s : '';
}

export const id = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(36).padStart(2, '0')).join('');
