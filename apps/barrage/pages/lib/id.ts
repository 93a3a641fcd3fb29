// Names that pages give themselves.

/** 64 random bits in hex. Works on plain http, where randomUUID does not. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** The value kept under a key, made on first use. */
export function kept(key: string, make: () => string): string {
  let v = localStorage.getItem(key);
  if (!v) localStorage.setItem(key, (v = make()));
  return v;
}
