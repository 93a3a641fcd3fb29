import { t } from './texts.ts';

const clock = $state({ now: Date.now() });
setInterval(() => (clock.now = Date.now()), 20_000);

/** How long ago a time in unix ms was, in words; reactive. */
export function ago(time: string): string {
  const minutes = Math.floor((clock.now - Number(time)) / 60_000);
  if (minutes < 1) return t('now');
  return minutes < 60 ? t('minutes', minutes) : t('hours', Math.floor(minutes / 60));
}
