/** The wall's token bucket, mirrored: it tells a player in advance when the next message may go. */
export class Bucket {
  private full = 0; // when the bucket is full again, unix ms
  constructor(
    private perMinute = 60,
    private readonly burst = 10,
  ) {}

  rate(perMinute: number): void {
    this.perMinute = perMinute;
  }

  take(now = Date.now()): void {
    if (this.perMinute > 0) this.full = Math.max(this.full, now) + this.step;
  }

  /** Milliseconds until a message may be sent; 0 for now. */
  wait(now = Date.now()): number {
    if (this.perMinute <= 0) return 0;
    return Math.max(0, Math.max(this.full, now) + this.step - now - this.burst * this.step);
  }

  private get step(): number {
    return 60_000 / this.perMinute;
  }
}
