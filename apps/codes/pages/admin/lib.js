// What the pages share among themselves: elements, texts, and the API.

/** Makes an element. Attributes whose value is a function are listeners; null and false are left out. */
export function h(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (typeof value === 'function') e.addEventListener(name, value);
    else if (name === 'value' || name === 'checked' || name === 'disabled') e[name] = value;
    else if (value !== null && value !== false && value !== undefined) e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

export const count = (n) => n.toLocaleString('en-US');

const pad = (n) => String(n).padStart(2, '0');

/** A moment of epoch milliseconds, in the reader's own time. */
export function when(ms) {
  if (!ms) return '';
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}`;
}

/** Epoch seconds as a field for dates and times has them. */
export const toField = (s) => (s ? when(s * 1000).replace(' ', 'T') : '');
export const fromField = (v) => (v ? Math.floor(new Date(v).getTime() / 1000) : 0);

export class Refusal extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** Calls the API and returns the answer. What it refuses, and a line that is down, are Refusals. */
export async function request(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch('/api' + path, {
      method,
      credentials: 'same-origin',
      headers: { 'X-Codes': '1', ...(typeof body === 'string' ? {} : body ? { 'Content-Type': 'application/json' } : {}), ...headers },
      body: typeof body === 'string' ? body : body && JSON.stringify(body),
    });
  } catch {
    throw new Refusal('offline', 'The server cannot be reached.');
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refusal(told.error ?? 'unavailable', sentence(told.message ?? 'The server is busy, try again.'));
}

const sentence = (s) => s.charAt(0).toUpperCase() + s.slice(1) + (/[.!?]$/.test(s) ? '' : '.');

export const call = async (...args) => (await request(...args)).json();

/** Tries again while the line is down or the server busy: for what may be asked twice. */
export async function insist(f) {
  for (let pause = 500; ; pause = Math.min(2 * pause, 10_000)) {
    try {
      return await f();
    } catch (e) {
      if (!['offline', 'unavailable'].includes(e.code)) throw e;
      await new Promise((done) => setTimeout(done, pause));
    }
  }
}

/** A progress bar with its words; show(done, all, words) moves it. */
export function progress() {
  const bar = h('i');
  const left = h('span');
  const right = h('span', { class: 'muted' });
  const track = h('div', { class: 'bar', role: 'progressbar', 'aria-valuemin': '0', 'aria-valuemax': '100' }, bar);
  const e = h('div', { class: 'progress' }, track, h('p', {}, left, right));
  let since = 0;
  let first = 0;
  e.show = (done, all, words) => {
    if (!since) [since, first] = [performance.now(), done];
    const part = all ? Math.min(done / all, 1) : 1;
    bar.style.width = `${100 * part}%`;
    track.setAttribute('aria-valuenow', Math.floor(100 * part));
    left.textContent = words;
    const rate = (done - first) / ((performance.now() - since) / 1000);
    const rest = (all - done) / rate;
    right.textContent = rate > 0 && part < 1 ? `${count(Math.round(rate))}/s · ${rest > 90 ? `${Math.round(rest / 60)} min` : `${Math.ceil(rest)} s`} left` : '';
  };
  return e;
}
