// Hearts that rise from a place and fade, on a canvas of their own.

interface Heart {
  x: number;
  y: number;
  born: number;
  life: number;
  sway: number;
  phase: number;
  size: number;
  bitmap: HTMLCanvasElement;
}

const TINTS = ['#ff5f8f', '#ff86a8', '#ff6f61', '#ffb35c', '#c98bff', '#7f9bff'];
const MOST = 160; // at once

export class Hearts {
  private hearts: Heart[] = [];
  private bitmaps: HTMLCanvasElement[] = [];
  private readonly pen: CanvasRenderingContext2D;
  private frame = 0;
  private due = 0; // hearts that wait for their turn
  private next = 0;

  /** `source` says where they rise from, in CSS pixels of the canvas. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly source: () => { x: number; y: number },
  ) {
    this.pen = canvas.getContext('2d')!;
    this.resize();
    addEventListener('resize', () => this.resize());
  }

  burst(n: number): void {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    this.due = Math.min(this.due + n, 60);
    if (!this.frame) this.frame = requestAnimationFrame(this.tick);
  }

  private resize(): void {
    const dpr = devicePixelRatio || 1;
    this.canvas.width = this.canvas.clientWidth * dpr;
    this.canvas.height = this.canvas.clientHeight * dpr;
    this.bitmaps = TINTS.map((c) => heart(c, (Math.min(innerWidth, innerHeight) / 100) * 5 * dpr));
  }

  private readonly tick = (now: number) => {
    const dpr = devicePixelRatio || 1;
    while (this.due > 0 && now >= this.next && this.hearts.length < MOST) {
      this.due--;
      this.next = Math.max(this.next, now - 50) + 45;
      const { x, y } = this.source();
      this.hearts.push({
        x: x * dpr,
        y: y * dpr,
        born: now,
        life: 2600 + Math.random() * 1600,
        sway: (0.4 + Math.random()) * 0.04 * this.canvas.width * (Math.random() < 0.5 ? -1 : 1),
        phase: Math.random() * 6.3,
        size: 0.6 + Math.random() * 0.7,
        bitmap: this.bitmaps[Math.floor(Math.random() * this.bitmaps.length)]!,
      });
    }
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.hearts = this.hearts.filter((h) => now - h.born < h.life);
    for (const h of this.hearts) {
      const t = (now - h.born) / h.life;
      const pop = Math.min(1, t * 9);
      const size = h.bitmap.width * h.size * pop;
      const x = h.x + h.sway * Math.sin(h.phase + t * 5) * t;
      const y = h.y - this.canvas.height * 0.62 * (1 - (1 - t) ** 1.7);
      this.pen.globalAlpha = t < 0.6 ? 1 : (1 - t) / 0.4;
      this.pen.drawImage(h.bitmap, x - size / 2, y - size / 2, size, size);
    }
    this.pen.globalAlpha = 1;
    this.frame = this.hearts.length || this.due ? requestAnimationFrame(this.tick) : 0;
  };
}

function heart(color: string, size: number): HTMLCanvasElement {
  const c = document.createElement('canvas');
  c.width = c.height = Math.max(2, Math.ceil(size));
  const pen = c.getContext('2d')!;
  pen.scale(c.width / 32, c.width / 32);
  pen.fillStyle = color;
  pen.beginPath();
  pen.moveTo(16, 28);
  pen.bezierCurveTo(4, 20, 2, 14, 2, 10);
  pen.bezierCurveTo(2, 5, 6, 3, 9, 3);
  pen.bezierCurveTo(12, 3, 15, 5, 16, 8);
  pen.bezierCurveTo(17, 5, 20, 3, 23, 3);
  pen.bezierCurveTo(26, 3, 30, 5, 30, 10);
  pen.bezierCurveTo(30, 14, 28, 20, 16, 28);
  pen.fill();
  pen.fillStyle = 'rgb(255 255 255 / 0.35)';
  pen.beginPath();
  pen.ellipse(9.5, 9, 3.4, 2.2, -0.6, 0, 6.3);
  pen.fill();
  return c;
}
