// The line to the server. It comes back after every loss, unless another tab has taken it.

const ANSWER = 10_000; // what takes longer will not come
const PING = 60_000;

export const id = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(36).padStart(2, '0')).join('');

/** Where the chat is: on Tencent at the gateway's own address, else behind the page's. */
export function address() {
  const env = window.env ?? {};
  const host = env.gateway?.endsWith('.tencentcs.com') ? env.gateway : location.host;
  return `${location.protocol.replace('http', 'ws')}//${host}/${env.environment ?? 'release'}/`;
}

export class Line {
  /** query() is what it registers with. on has hello(), the first request, frame(frame), and state(state): connecting,
   *  open, waiting, taken. */
  constructor(query, on) {
    this.query = query;
    this.on = on;
    this.tries = 0;
    addEventListener('online', () => this.now());
    addEventListener('offline', () => this.lost());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.now();
      this.ping();
    });
    setInterval(() => this.ping(), PING);
  }

  open() {
    clearTimeout(this.timer);
    this.drop();
    this.set('connecting');
    const socket = (this.socket = new WebSocket(`${address()}?${new URLSearchParams(this.query())}`));
    this.timer = setTimeout(() => this.lost(), 2 * ANSWER);
    socket.onopen = () => {
      this.send(this.on.hello());
      this.wait();
    };
    socket.onmessage = (e) => {
      if (socket !== this.socket) return;
      let f;
      try {
        f = JSON.parse(e.data);
      } catch {
        return; // not ours
      }
      clearTimeout(this.timer);
      if (f.type === 'hello') {
        this.tries = 0;
        this.set('open');
      }
      if (f.code === 'unknown') this.lost();
      else this.on.frame(f);
    };
    socket.onclose = (e) => {
      if (socket !== this.socket) return;
      if (e.code === 1000 && this.state === 'open') {
        this.drop();
        this.set('taken');
      } else this.lost();
    };
  }

  /** Sends a request. */
  send(request) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(request));
  }

  ping() {
    if (this.state !== 'open') return;
    this.send({ action: 'ping' });
    this.wait();
  }

  /** Gives up the line unless something is heard soon. */
  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.lost(), ANSWER);
  }

  drop() {
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
  }

  lost() {
    if (!this.socket) return;
    this.drop();
    clearTimeout(this.timer);
    const pause = Math.min(30_000, 500 * 2 ** this.tries++) * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), pause);
    this.set('waiting');
  }

  /** Does not wait for its next try. */
  now() {
    if (this.state === 'waiting') this.open();
  }

  set(state) {
    this.state = state;
    this.on.state(state);
  }
}
