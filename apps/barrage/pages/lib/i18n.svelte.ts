// Two languages, chosen by the browser and kept when switched.

export type Lang = 'zh' | 'en';
export type Texts = Record<string, readonly [zh: string, en: string]>;

const KEY = 'barrage-lang';

function initial(): Lang {
  const kept = localStorage.getItem(KEY);
  if (kept === 'zh' || kept === 'en') return kept;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

const current = $state({ lang: initial() });

/** The present language; reactive. */
export function lang(): Lang {
  return current.lang;
}

export function switchLang(): void {
  current.lang = current.lang === 'zh' ? 'en' : 'zh';
  localStorage.setItem(KEY, current.lang);
}

/** Returns a translator for a page's texts. `{0}`, `{1}` … take the arguments. */
export function translator<T extends Texts>(texts: T): (key: keyof T, ...args: (string | number)[]) => string {
  return (key, ...args) =>
    texts[key]![current.lang === 'zh' ? 0 : 1].replace(/\{(\d)\}/g, (_, i) => String(args[Number(i)] ?? ''));
}

/** A number with the language's grouping: 12,345. */
export function grouped(n: number): string {
  return n.toLocaleString(current.lang === 'zh' ? 'zh-CN' : 'en');
}
