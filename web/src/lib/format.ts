// Numbers and times as people read them.
export const count = (n: number) => n.toLocaleString('en');

export const few = (n: number, word: string, plural = `${word}s`) => `${count(n)} ${n === 1 ? word : plural}`;

export function bytes(n: number) {
  if (n < 1024) return `${Math.round(n)} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let unit = -1;
  do {
    n /= 1024;
    unit++;
  } while (n >= 1024 && unit < units.length - 1);
  return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/** A length of time from milliseconds: two units at most. */
export function span(ms: number) {
  const s = Math.round(ms / 1000);
  if (s < 1) return `${Math.round(ms)} ms`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 && s < 600 ? ` ${s % 60} s` : ''}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h${Math.floor((s % 3600) / 60) ? ` ${Math.floor((s % 3600) / 60)} min` : ''}`;
  return `${Math.floor(s / 86400)} d${Math.floor((s % 86400) / 3600) ? ` ${Math.floor((s % 86400) / 3600)} h` : ''}`;
}

export function ago(ms: number, now: number) {
  if (!ms) return 'never';
  const past = now - ms;
  if (past < 5000) return 'just now';
  if (past < 86400_000 * 7) return `${span(past < 3600_000 ? past : Math.floor(past / 60000) * 60000).replace(/ \d+ s$/, '')} ago`;
  return new Date(ms).toLocaleDateString();
}

/** A mark of a time axis whose marks are `step` seconds apart, in the reader's own way to write times and days. */
export function tick(ms: number, step: number) {
  const at = new Date(ms);
  if (step >= 86400) return at.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  return at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: step < 60 ? '2-digit' : undefined });
}

export const percent = (part: number, whole: number) => (whole > 0 ? `${Math.floor((1000 * part) / whole) / 10} %` : '–');

export const short = (digest = '') => digest.slice(0, 12);

/** Names of this server's keys in the place of their digests; digests of others stay. */
export const signersOf = (digests: string, keys: { key_name: string; public_key_digest: string }[]) =>
  digests.split(/[\s,]+/).filter(Boolean).map((d) => keys.find((k) => k.public_key_digest === d)?.key_name ?? d);
