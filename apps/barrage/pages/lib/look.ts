// How messages look, on every page.

/** Colours that stay readable on the dark wall. */
export const COLORS = ['#ffffff', '#ffd95a', '#ffa662', '#ff7eb6', '#ff7b7b', '#6fe9a4', '#5fe0f2', '#96a9ff', '#cf9dff'] as const;

export const SIZES = ['22px', '28px', '40px'] as const;

export const MAX_MESSAGE = 120;
export const MAX_NAME = 24;

const segmenter = typeof Intl !== 'undefined' && 'Segmenter' in Intl ? new Intl.Segmenter() : undefined;

/** Splits into what a reader sees as one character each: 👩‍👩‍👧 is one. */
export function characters(s: string): string[] {
  return segmenter ? Array.from(segmenter.segment(s), (x) => x.segment) : Array.from(s);
}

/** A name's own hue, 0 to 359. */
export function hue(name: string): number {
  let h = 7;
  for (const c of name) h = (h * 31 + c.codePointAt(0)!) % 360;
  return h;
}

/** What stands in a name's round picture. */
export function initial(name: string): string {
  return (characters(name.trim())[0] ?? '?').toUpperCase();
}

export function avatarStyle(name: string): string {
  const h = hue(name);
  return `background:linear-gradient(135deg,hsl(${h} 75% 62%),hsl(${(h + 50) % 360} 75% 46%))`;
}
