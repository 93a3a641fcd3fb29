// The moderator's desk: what waits, what was, the rules; kept in step with the wall and with other
// moderators.
import { ApiError, call, type Frame, type Message, type Settings, type Stats, type Wall } from '../lib/api.ts';
import { Line, type LineState } from '../lib/socket.ts';
import { t } from './texts.ts';

const TOKEN = 'barrage-session';
const PAGE = 60;

export class Desk {
  token = $state(sessionStorage.getItem(TOKEN) ?? '');
  refusal = $state(''); // why there is no session
  line = $state<LineState>('connecting');
  stats = $state<Stats>({ messages: 0, likes: 0, online: 0, screens: 0, admins: 0 });
  paused = $state(false);
  settings = $state<Settings>();
  /** Waiting messages, oldest first. */
  queue = $state<Message[]>([]);
  /** Newest first, as searched. */
  history = $state<Message[]>([]);
  more = $state(false);
  query = $state('');
  status = $state(-1);
  toast = $state('');
  private loads = 0; // requests under way whose answers replace what is shown
  private held: Frame[] = []; // what came meanwhile; it may be newer than those answers
  private toastTimer?: ReturnType<typeof setTimeout>;
  private readonly socket = new Line({
    type: 'admin',
    query: () => ({ token: this.token }),
    onFrames: (frames) => frames.forEach((f) => this.hear(f)),
    onOpen: () => void this.load(),
    onState: (s) => (this.line = s),
    onRefused: () => this.logout('expired'),
  });

  constructor() {
    if (this.token) this.socket.open();
    setInterval(() => this.token && this.line === 'open' && void this.look(), 5000);
  }

  async login(password: string): Promise<void> {
    try {
      const { token } = await call<{ token: string }>('POST', '/login', { password });
      this.token = token;
      this.refusal = '';
      sessionStorage.setItem(TOKEN, token);
      this.socket.open();
    } catch (e) {
      this.refusal = (e as ApiError).code;
    }
  }

  logout(why = ''): void {
    this.socket.close();
    this.token = '';
    this.refusal = why;
    this.queue = [];
    this.history = [];
    this.settings = undefined;
    sessionStorage.removeItem(TOKEN);
  }

  /** Everything anew: after logging in and after each reconnect. */
  private async load(): Promise<void> {
    await this.replacing(async () => {
      const [settings, waiting] = await Promise.all([
        this.call<Settings>('GET', '/status'),
        this.call<Record<string, Message>>('GET', '/barrage?checkStatus=0&limit=500'),
      ]);
      this.settings = settings;
      this.queue = Object.values(waiting).sort((a, b) => a.id - b.id);
      await Promise.all([this.find(), this.look()]);
    });
  }

  private async look(): Promise<void> {
    try {
      const w = await call<Wall>('GET', `/wall?device=${this.socket.device}`);
      this.stats = w;
      this.paused = w.paused;
      if (!w.registered && this.line === 'open') this.socket.register();
    } catch {
      // asked again soon
    }
  }

  /** Searches history; with `before`, adds older ones. */
  async find(before?: number): Promise<void> {
    await this.replacing(async () => {
      const q = new URLSearchParams({ limit: String(PAGE) });
      if (this.query.trim()) q.set('q', this.query.trim());
      if (this.status >= 0) q.set('checkStatus', String(this.status));
      if (before) q.set('before', String(before));
      const found = Object.values(await this.call<Record<string, Message>>('GET', '/barrage?' + q)).sort((a, b) => b.id - a.id);
      const known = new Set(this.history.map((m) => m.id));
      this.history = before ? [...this.history, ...found.filter((m) => !known.has(m.id))] : found;
      this.more = found.length === PAGE;
    });
  }

  async decide(ids: number[], checkStatus: 1 | 2): Promise<void> {
    if (!ids.length) return;
    const gone = new Set(ids);
    const before = this.queue;
    this.queue = this.queue.filter((m) => !gone.has(m.id)); // at once; put back when it fails
    const done = await this.guard(async () => {
      if (ids.length === 1) {
        await this.call('PUT', `/barrage/${ids[0]}`, { checkStatus });
      } else {
        const r = await this.call<{ changed: number[]; decided: number[] }>('PUT', '/barrage', { ids, checkStatus });
        this.say(r.decided.length ? t('bulkDecided', r.changed.length, r.decided.length) : t('bulk', r.changed.length));
      }
    });
    if (!done) this.queue = merge(this.queue, before.filter((m) => gone.has(m.id)));
  }

  async erase(id: number): Promise<void> {
    await this.guard(() => this.call('DELETE', `/barrage/${id}`));
  }

  async change(c: Partial<Settings>): Promise<boolean> {
    return this.guard(async () => {
      this.settings = await this.call<Settings>('POST', '/status', c);
      this.say(t('saved'));
    });
  }

  async screen(action: 'pause' | 'resume' | 'clear'): Promise<void> {
    await this.guard(async () => {
      await this.call('POST', '/screen', { action });
      if (action !== 'clear') this.paused = action === 'pause';
    });
  }

  say(text: string): void {
    this.toast = text;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => (this.toast = ''), 2600);
  }

  private hear(f: Frame): void {
    if (this.loads > 0) {
      this.held.push(f);
      return;
    }
    switch (f.type) {
      case 'waiting': {
        const m: Message = {
          gid: 1, id: f.id!, fromId: '', fromName: f.fromName ?? '', message: f.message ?? '', color: f.color ?? '#ffffff',
          fontSize: f.fontSize ?? '28px', checkStatus: 0, sendTime: f.sendTime ?? String(Date.now()), checkTime: '', likes: 0,
        };
        this.queue = merge(this.queue, [m]);
        this.note(m);
        break;
      }
      case 'passed':
        f.messages?.forEach((m) => this.note(m));
        this.stats.messages += f.messages?.length ?? 0;
        break;
      case 'decided':
        for (const m of f.messages ?? []) {
          this.queue = this.queue.filter((q) => q.id !== m.id);
          this.note(m);
        }
        break;
      case 'erase':
        this.queue = this.queue.filter((m) => !f.ids?.includes(m.id));
        this.history = this.history.filter((m) => !f.ids?.includes(m.id));
        break;
      case 'settings':
        this.settings = f.settings;
        break;
      case 'screen':
        if (f.action !== 'clear') this.paused = f.action === 'pause';
        break;
    }
  }

  /** Brings history up to date with one message, if it belongs to what was searched. */
  private note(m: Message): void {
    const at = this.history.findIndex((h) => h.id === m.id);
    const fits = this.status < 0 || this.status === m.checkStatus;
    const loaded = !this.more || m.id > (this.history.at(-1)?.id ?? 0); // older ones come with “load more”
    if (at >= 0) {
      if (fits) this.history[at] = m;
      else this.history.splice(at, 1);
    } else if (fits && loaded && !this.query.trim()) {
      this.history = [m, ...this.history].sort((a, b) => b.id - a.id);
    }
  }

  /** Runs f, whose answer replaces what is shown; then hears what came while it ran. */
  private async replacing(f: () => Promise<unknown>): Promise<void> {
    this.loads++;
    await this.guard(f);
    if (--this.loads > 0) return;
    for (const frame of this.held.splice(0)) this.hear(frame);
  }

  private call<T>(method: string, path: string, body?: unknown): Promise<T> {
    return call<T>(method, path, body, this.token);
  }

  /** Runs f; says what went wrong, and whether nothing did. A lost session ends the desk. */
  private async guard(f: () => Promise<unknown>): Promise<boolean> {
    try {
      await f();
      return true;
    } catch (e) {
      const code = e instanceof ApiError ? e.code : 'unavailable';
      if (code === 'unauthorized') {
        this.logout('expired');
        return false;
      }
      this.say(t(code as 'offline'));
      return code === 'decided' || code === 'notfound'; // nothing left to do
    }
  }
}

function merge(queue: Message[], more: Message[]): Message[] {
  const ids = new Set(queue.map((m) => m.id));
  return [...queue, ...more.filter((m) => !ids.has(m.id))].sort((a, b) => a.id - b.id);
}
