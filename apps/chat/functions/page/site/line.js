// The line to the server: it comes back after every loss, and pairs answers with requests.
import { id } from './text.js';

const STABLE = 10_000; // after this a connection counts as good
const ANSWER = 10_000; // an answer that takes longer will not come
const PING = 60_000;

/** What a request fails with; code is the server's, or "lost" when nobody knows what became of it. */
export class Refused extends Error {
  constructor(code, message, retryAfter = 0) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export class Line {
  /** on has frame(frame) for news, open(), and state(state): connecting, open, waiting. */
  constructor(address, query, on) {
    this.address = address;
    this.query = query;
    this.on = on;
    this.tries = 0;
    this.waiting = new Map(); // requests without an answer, by id
    addEventListener('online', () => this.now());
    addEventListener('offline', () => this.lost());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.now();
      if (this.state === 'open' && Date.now() - this.heard > 15_000) this.ping();
    });
    setInterval(() => this.state === 'open' && this.ping(), PING);
  }

  open() {
    clearTimeout(this.timer);
    this.set('connecting');
    const url = new URL(this.address, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    url.search = new URLSearchParams(this.query());
    const socket = (this.socket = new WebSocket(url));
    this.timer = setTimeout(() => this.lost(), ANSWER);
    socket.onopen = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => (this.tries = 0), STABLE);
      this.heard = Date.now();
      this.set('open');
      this.on.open();
    };
    socket.onmessage = (e) => {
      this.heard = Date.now();
      if (socket === this.socket) this.hear(e.data);
    };
    socket.onclose = () => socket === this.socket && this.lost();
  }

  /** Sends a request; the promise is its answer. */
  request(action, fields = {}) {
    return new Promise((resolve, reject) => {
      if (this.state !== 'open') return reject(new Refused('lost', 'not connected'));
      const key = fields.id ?? id();
      const timer = setTimeout(() => {
        if (this.waiting.get(key)?.timer === timer) this.lost();
      }, ANSWER);
      this.waiting.set(key, { resolve, reject, timer });
      this.socket.send(JSON.stringify({ action, ...fields, id: key }));
    });
  }

  /** Sends something that has no answer. */
  tell(action, fields) {
    if (this.state === 'open') this.socket.send(JSON.stringify({ action, ...fields }));
  }

  /** Asks whether the line is alive; the answer says what is new. */
  ping() {
    this.request('ping').then((f) => this.on.frame(f), () => {});
  }

  hear(text) {
    let f;
    try {
      f = JSON.parse(text);
    } catch {
      return; // not ours
    }
    const asked = f.id && this.waiting.get(f.id);
    if (asked && f.type !== 'log') {
      this.waiting.delete(f.id);
      clearTimeout(asked.timer);
      if (f.type !== 'error') return asked.resolve(f);
      asked.reject(new Refused(f.code, f.message, f.retryAfter));
    }
    if (f.type === 'error' && f.code === 'unknown') this.lost();
    else if (f.type) this.on.frame(f);
    else if (f.message) console.warn('gateway:', f.message); // of the gateway itself; the request times out
  }

  lost() {
    const socket = this.socket;
    if (!socket) return;
    this.socket = undefined;
    clearTimeout(this.timer);
    socket.close();
    for (const asked of this.waiting.values()) {
      clearTimeout(asked.timer);
      asked.reject(new Refused('lost', 'the connection was lost'));
    }
    this.waiting.clear();
    const pause = Math.min(30_000, 500 * 2 ** this.tries++) * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), pause);
    this.set('waiting');
  }

  now() {
    if (this.state === 'waiting') this.open();
  }

  set(state) {
    this.state = state;
    this.on.state(state);
  }
}
