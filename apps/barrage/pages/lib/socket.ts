// A page's line to the gateway: binds a device id, registers it, beats, and comes back after every
// loss. The gateway's words (RG, RO, H1, NF …) stay in this file.
import type { Frame } from './api.ts';
import { Backoff } from './backoff.ts';
import { randomId } from './id.ts';

export type LineState = 'connecting' | 'open' | 'waiting' | 'closed';

export interface LineOptions {
  /** What registers: screen, admin, player. */
  type: string;
  /** More of the registration's query, asked for on every connection. */
  query?: () => Record<string, string>;
  onFrames: (frames: Frame[]) => void;
  /** Registered: ask for what was missed. */
  onOpen?: () => void;
  onState?: (state: LineState) => void;
  /** The registration was refused; the line is closed. */
  onRefused?: () => void;
}

const STABLE = 10_000; // after this a connection counts as good
const BEAT = 15_000;
const SEQ = { REGISTER: '1', UNREGISTER: '2' }; // names requests; answers carry it back

export class Line {
  /** The device id of the present connection. Each connection has its own. */
  device = '';
  state: LineState = 'closed';
  private socket?: WebSocket;
  private readonly backoff = new Backoff();
  private timers: ReturnType<typeof setTimeout>[] = [];
  private beat?: ReturnType<typeof setInterval>;
  private heard = 0;
  private port = 0; // which of the addresses to try
  private bound = false;

  constructor(private readonly o: LineOptions) {
    addEventListener('online', this.now);
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.now());
    addEventListener('pagehide', () => this.leave());
    addEventListener('pageshow', (e) => e.persisted && this.open());
  }

  open(): void {
    this.drop();
    this.set('connecting');
    this.bound = false;
    this.device = this.o.type[0] + randomId() + randomId();
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.addresses()[this.port]!);
    } catch {
      this.retry();
      return;
    }
    this.socket = socket;
    socket.onopen = () => this.send('RG#' + this.device);
    socket.onmessage = (e) => socket === this.socket && this.hear(String(e.data));
    socket.onclose = () => socket === this.socket && this.lost();
    this.timers.push(setTimeout(() => this.state !== 'open' && this.lost(), 10_000));
  }

  /** Closes for good. */
  close(): void {
    this.drop();
    this.set('closed');
  }

  /** Registers again; for when the server has forgotten this device. */
  register(): void {
    if (this.bound) this.envelope('/r', 'REGISTER', { docId: 'devs', type: this.o.type, ...this.o.query?.() });
  }

  /** The page's own address; or port 8080 of its host, where the cloud's gateway has its sockets. */
  private addresses(): string[] {
    const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';
    const own = scheme + location.host + '/';
    return location.port ? [own] : [own, scheme + location.hostname + ':8080/'];
  }

  private hear(text: string): void {
    this.heard = Date.now();
    if (text.startsWith('NF#')) {
      let frames: Frame | Frame[];
      try {
        frames = JSON.parse(text.slice(3));
      } catch {
        return; // not ours
      }
      this.o.onFrames(Array.isArray(frames) ? frames : [frames]);
    } else if (text.startsWith('RO#')) {
      this.bound = true;
      clearInterval(this.beat);
      this.beat = setInterval(() => this.pulse(), BEAT);
      this.register();
    } else if (text.startsWith('{')) {
      const answer = JSON.parse(text) as { status: number | string; header?: Record<string, string> };
      if (String(answer.header?.['x-ca-seq']) !== SEQ.REGISTER) return;
      const status = Number(answer.status);
      if (status === 200) {
        this.set('open');
        this.timers.push(setTimeout(() => this.backoff.reset(), STABLE));
        this.o.onOpen?.();
      } else if (status === 401) {
        this.close();
        this.o.onRefused?.();
      } else {
        this.lost();
      }
    } else if (/^(OS|CR|RF#|HF#)/.test(text)) {
      this.lost(); // too fast, too old, or not known: a new connection mends all of them
    }
  }

  private pulse(): void {
    if (Date.now() - this.heard > 2.5 * BEAT) this.lost();
    else this.send('H1');
  }

  private lost(): void {
    if (!this.bound) this.port = (this.port + 1) % this.addresses().length;
    this.drop();
    this.retry();
  }

  private retry(): void {
    this.set('waiting');
    this.timers.push(setTimeout(() => this.open(), this.backoff.next()));
  }

  private readonly now = () => {
    if (this.state === 'waiting') this.open();
  };

  private leave(): void {
    if (this.bound) this.envelope('/unregister', 'UNREGISTER', {});
    this.close();
  }

  private drop(): void {
    this.timers.forEach(clearTimeout);
    this.timers = [];
    clearInterval(this.beat);
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
  }

  private send(text: string): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
  }

  private envelope(path: string, kind: keyof typeof SEQ, querys: Record<string, string>): void {
    const headers = { 'x-ca-websocket_api_type': [kind], 'x-ca-seq': [SEQ[kind]], CA_VERSION: ['1'] };
    this.send(JSON.stringify({ method: 'GET', host: location.host, path, querys, headers, isBase64: 0, body: '' }));
  }

  private set(state: LineState): void {
    if (state === this.state) return;
    this.state = state;
    this.o.onState?.(state);
  }
}
