// The flying messages. A message is drawn once into a bitmap; the engine only moves bitmaps.
import Danmaku from 'danmaku/dist/esm/danmaku.canvas.js';
import { hue, initial } from '../lib/look.ts';

export interface Shown {
  id: number;
  from: string;
  text: string;
  color: string;
  size: number; // 22, 28 or 40
}

interface Comment {
  text: string; // our id
  time: number;
  width: number;
  height: number;
}

/** What the engine remembers of a comment that took a lane; range is its lower edge. */
interface Lane {
  range: number;
  time: number;
  width: number;
  height: number;
}

interface Bitmap {
  canvas: HTMLCanvasElement;
  width: number; // CSS pixels
  height: number;
}

const CROSSING = 11; // seconds from edge to edge
const DENSITY = 400; // messages on the screen at once; more is unreadable
const IMPATIENT = 4000; // ms; a message that has waited so long may overlap others …
const CATCH_UP = 12_000; // … at the pace that shows all that wait within this many ms
const BACKLOG = 1000; // messages waiting; then the oldest are dropped
const CROWD = [10, 30]; // messages waiting; from then on they are drawn smaller
const SCALE = [1, 0.8, 0.64];
const MERGE = 60; // messages waiting; then equal ones are shown once with a count
const CACHE = 300; // bitmaps

/** The engine's idea of a video: time that stands still while paused. */
class Clock extends EventTarget {
  paused = false;
  readonly playbackRate = 1;
  private base = 0; // what the clock showed
  private since = performance.now(); // when

  get currentTime(): number {
    return this.base + (this.paused ? 0 : (performance.now() - this.since) / 1000);
  }

  set(paused: boolean): void {
    if (paused === this.paused) return;
    this.base = this.currentTime;
    this.since = performance.now();
    this.paused = paused;
    this.dispatchEvent(new Event(paused ? 'pause' : 'play'));
  }
}

export class Stage {
  /** Messages that were never shown because too many came at once. */
  dropped = 0;
  private readonly clock = new Clock();
  private readonly engine: any;
  private readonly cache = new Map<string, Bitmap>();
  private backlog: { m: Shown; since: number; times: number }[] = [];
  private unit = 10; // CSS pixels per hundredth of the smaller side
  private last = 0; // time of the message that was admitted last
  private overlapped = 0; // when a message last had to overlap others
  private frame = 0;

  constructor(private readonly container: HTMLElement) {
    this.engine = new Danmaku({ container, media: this.clock, engine: 'canvas', comments: [] });
    // Whole pixels: a fractional position would resample every bitmap in every frame.
    const pen: CanvasRenderingContext2D = this.engine._.stage.context;
    const draw = pen.drawImage.bind(pen) as (image: CanvasImageSource, x: number, y: number) => void;
    pen.drawImage = (image: CanvasImageSource, x: number, y: number) => draw(image, Math.round(x), Math.round(y));
    this.resize();
    new ResizeObserver(() => this.resize()).observe(container);
    this.tick();
  }

  push(m: Shown): void {
    if (this.backlog.length >= MERGE) {
      const same = this.backlog.find((w) => w.m.text === m.text);
      if (same) {
        same.times++;
        return;
      }
    }
    if (this.backlog.length >= BACKLOG) {
      this.backlog.shift();
      this.dropped++;
    }
    this.backlog.push({ m, since: performance.now(), times: 1 });
  }

  pause(paused: boolean): void {
    this.clock.set(paused);
  }

  clear(): void {
    this.backlog = [];
    this.engine._.position = this.engine.comments.length;
    this.engine.clear();
    if (this.clock.paused) this.engine._.stage.context.clearRect(0, 0, 1e5, 1e5);
  }

  erase(ids: number[]): void {
    const gone = new Set(ids.map(String));
    this.backlog = this.backlog.filter((w) => !gone.has(String(w.m.id)));
    this.engine._.runningList = this.running().filter((c) => !gone.has(c.text));
    if (this.clock.paused) this.redraw();
  }

  /** How many messages are flying or about to. */
  get busy(): number {
    return this.running().length + this.backlog.length;
  }

  private running(): Comment[] {
    return this.engine._.runningList;
  }

  private redraw(): void {
    // The engine draws only while time flows; let it flow for one frame.
    this.clock.set(false);
    requestAnimationFrame(() => this.clock.set(true));
  }

  private resize(): void {
    const { clientWidth: w, clientHeight: h } = this.container;
    if (!w || !h) return;
    this.unit = Math.min(innerWidth, innerHeight) / 100;
    this.engine.speed = w / CROSSING;
    this.engine.resize();
    this.cache.clear();
  }

  /** Admits at most one message a frame, so that drawing it never costs a frame. */
  private readonly tick = () => {
    this.frame = requestAnimationFrame(this.tick);
    const { comments, _ } = this.engine;
    const head = this.backlog[0];
    const placed = comments.length === _.position; // the engine has found a lane for the one before
    if (!head || !placed || this.clock.paused || this.running().length >= DENSITY) return;
    const bitmap = this.bitmap(head.m, head.times);
    if (!this.fits(bitmap)) {
      const now = performance.now();
      const pace = Math.min(500, CATCH_UP / this.backlog.length);
      if (now - head.since < IMPATIENT || now - this.overlapped < pace) return;
      this.overlapped = now;
    }
    this.backlog.shift();
    this.admit(head.m, bitmap);
  };

  /** Whether the engine would find a place where nothing touches the message, now or later. */
  private fits(b: Bitmap): boolean {
    const { width: w, height, duration, space } = this.engine._;
    const now = this.clock.currentTime;
    const arrives = (duration * w) / (w + b.width); // until its head is at the left edge
    const lanes: Lane[] = space.rtl; // from top to bottom, closed by one without end
    let last = 0;
    for (let i = 1; i < lanes.length; i++) {
      const c = lanes[i]!;
      if (c.range - c.height - lanes[last]!.range >= b.height) break;
      const age = now - c.time;
      if (((w + c.width) * age) / duration < c.width || duration - age > arrives) last = i;
    }
    return lanes[last]!.range + b.height <= height;
  }

  private admit(m: Shown, bitmap: Bitmap): void {
    const { comments, _ } = this.engine;
    if (_.position > 500) {
      comments.splice(0, _.position); // done with
      _.position = 0;
    }
    this.last = Math.max(this.clock.currentTime, this.last + 1e-6); // keeps the order
    this.engine.emit({
      text: String(m.id),
      mode: 'rtl',
      time: this.last,
      render(this: Comment) {
        // The engine would take the bitmap's device pixels for CSS pixels.
        Object.defineProperty(this, 'width', { get: () => bitmap.width, set() {} });
        Object.defineProperty(this, 'height', { get: () => bitmap.height, set() {} });
        return bitmap.canvas;
      },
    });
  }

  private bitmap(m: Shown, times: number): Bitmap {
    const scale = SCALE[CROWD.filter((n) => this.backlog.length > n).length]!;
    const key = [m.text, m.from, m.color, m.size, times, scale].join('\n');
    let b = this.cache.get(key);
    if (!b) {
      b = this.draw(m, times, scale);
      if (this.cache.size >= CACHE) this.cache.delete(this.cache.keys().next().value!);
    } else {
      this.cache.delete(key); // to the young end
    }
    this.cache.set(key, b);
    return b;
  }

  /** Draws a message: a round picture, the name above, the words in their colour. */
  private draw(m: Shown, times: number, crowded: number): Bitmap {
    const dpr = devicePixelRatio || 1;
    const unit = this.unit * crowded * (innerWidth < innerHeight ? 1.3 : 1);
    const lane = Math.round(unit * 8.6);
    let px = unit * (m.size <= 22 ? 2.8 : m.size >= 40 ? 4.3 : 3.5);
    const family = getComputedStyle(document.body).fontFamily;
    let font = `700 ${px}px ${family}`;
    const nameFont = `600 ${unit * 1.65}px ${family}`;
    const canvas = document.createElement('canvas');
    const pen = canvas.getContext('2d')!;

    pen.font = font;
    let words = pen.measureText(m.text).width;
    const most = this.container.clientWidth * 1.1; // a very long one gets smaller, within reason
    if (words > most) {
      px *= Math.max(0.6, most / words);
      font = `700 ${px}px ${family}`;
      pen.font = font;
      words = pen.measureText(m.text).width;
    }
    const tag = times > 1 ? ` ×${times}` : '';
    const extra = tag ? pen.measureText(tag).width : 0;
    pen.font = nameFont;
    const name = pen.measureText(m.from).width;
    const round = lane * 0.62;
    const gap = lane * 0.16;
    const margin = lane * 0.34; // free space before the next one in the lane
    const width = Math.ceil(gap + round + gap + Math.max(words + extra, name) + lane * 0.4 + margin);

    canvas.width = Math.ceil(width * dpr);
    canvas.height = Math.ceil(lane * dpr);
    pen.scale(dpr, dpr);

    const pad = lane * 0.06;
    pen.fillStyle = 'rgb(9 10 30 / 0.5)';
    pen.strokeStyle = 'rgb(255 255 255 / 0.1)';
    pen.lineWidth = 1;
    pen.beginPath();
    pen.roundRect(0.5, pad, width - margin - 1, lane - 2 * pad, (lane - 2 * pad) / 2);
    pen.fill();
    pen.stroke();

    const h = hue(m.from);
    const cx = gap + round / 2;
    const shade = pen.createLinearGradient(cx - round / 2, 0, cx + round / 2, lane);
    shade.addColorStop(0, `hsl(${h} 75% 62%)`);
    shade.addColorStop(1, `hsl(${(h + 50) % 360} 75% 46%)`);
    pen.fillStyle = shade;
    pen.beginPath();
    pen.arc(cx, lane / 2, round / 2, 0, 2 * Math.PI);
    pen.fill();
    pen.fillStyle = '#fff';
    pen.font = `700 ${round * 0.5}px ${family}`;
    pen.textAlign = 'center';
    pen.textBaseline = 'middle';
    pen.fillText(initial(m.from), cx, lane / 2 + round * 0.03);

    pen.textAlign = 'left';
    const x = gap + round + gap;
    pen.font = nameFont;
    pen.fillStyle = 'rgb(214 218 250 / 0.8)';
    pen.fillText(m.from, x, lane * 0.24);
    pen.font = font;
    pen.lineJoin = 'round';
    pen.lineWidth = px * 0.14;
    pen.strokeStyle = 'rgb(6 7 22 / 0.75)';
    pen.strokeText(m.text, x, lane * 0.63);
    pen.fillStyle = m.color;
    pen.fillText(m.text, x, lane * 0.63);
    if (tag) {
      pen.fillStyle = '#ffd95a';
      pen.fillText(tag, x + words, lane * 0.63);
    }
    return { canvas, width, height: lane };
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    this.engine.destroy();
  }
}
