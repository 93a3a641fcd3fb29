// What has come for the screen and is still to be shown: each message once, in the order in which
// the wall stored them.
import type { Frame } from '../lib/api.ts';

const SETTLE = 120; // ms that a message waits for earlier ones which come another way
const REMEMBER = 2000;
const KEY = 'barrage-seen';

export class Inbox {
  /** Whether this window has never shown anything. */
  readonly fresh: boolean;
  private readonly seen: Set<number>;
  private held: { frame: Frame; due: number }[] = [];
  private timer?: ReturnType<typeof setTimeout>;

  constructor(private readonly show: (frame: Frame) => void) {
    const kept = sessionStorage.getItem(KEY);
    this.fresh = kept === null;
    this.seen = new Set(JSON.parse(kept ?? '[]'));
  }

  /** Takes messages in. Returns how many were new. */
  take(frames: Frame[]): number {
    const due = Date.now() + SETTLE;
    const fresh = frames.filter((f) => !f.id || !this.seen.has(f.id));
    for (const frame of fresh) {
      if (frame.id) this.seen.add(frame.id);
      this.held.push({ frame, due });
    }
    for (const id of this.seen) {
      if (this.seen.size <= REMEMBER) break;
      this.seen.delete(id); // the oldest
    }
    if (fresh.length) {
      this.held.sort((a, b) => (a.frame.id ?? 0) - (b.frame.id ?? 0));
      this.timer ??= setTimeout(this.release, SETTLE);
    }
    return fresh.length;
  }

  /** Marks messages as seen without showing them. */
  skip(frames: Frame[]): void {
    for (const f of frames) if (f.id) this.seen.add(f.id);
  }

  /** Forgets what is still to be shown, all of it or these ids. */
  drop(ids?: number[]): void {
    this.held = ids ? this.held.filter((h) => !ids.includes(h.frame.id ?? 0)) : [];
  }

  private readonly release = () => {
    this.timer = undefined;
    const now = Date.now();
    // Up to the last one that is due: whatever has a smaller id must not come after it.
    const last = this.held.findLastIndex((h) => h.due <= now);
    for (const { frame } of this.held.splice(0, last + 1)) this.show(frame);
    if (this.held.length) this.timer = setTimeout(this.release, Math.max(10, this.held[0]!.due - now));
    sessionStorage.setItem(KEY, JSON.stringify([...this.seen].slice(-500)));
  };
}
