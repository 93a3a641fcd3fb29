/** Exponential backoff with full jitter: 0.5 s, doubling, at most 20 s. */
export class Backoff {
  private failures = 0;
  constructor(
    private readonly first = 500,
    private readonly cap = 20_000,
    private readonly random: () => number = Math.random,
  ) {}

  /** Milliseconds to wait before the next try. */
  next(): number {
    return this.random() * Math.min(this.cap, this.first * 2 ** this.failures++);
  }

  reset(): void {
    this.failures = 0;
  }
}
