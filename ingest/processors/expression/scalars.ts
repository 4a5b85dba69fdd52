const microsPerDay = 86_400_000_000n;
const datePattern = /^(\d{4})-(\d{2})-(\d{2})$/;
const timestampPattern =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?)?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?$/;
const timePattern = /^(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?$/;

/** Days since 1970-01-01 of `YYYY-MM-DD`; null if it is not a day. */
export function parseDate(text: string): number | null {
  const match = datePattern.exec(text);
  if (match === null) return null;
  const [year, month, day] = match.slice(1).map(Number) as [number, number, number];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const isReal = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return isReal ? date.getTime() / 86_400_000 : null;
}

/** Microseconds since 1970 of an ISO 8601 instant; a text without a zone is UTC. Null if it is none. */
export function parseTimestamp(text: string): { micros: bigint; hasZone: boolean } | null {
  const match = timestampPattern.exec(text);
  if (match === null) return null;
  const [, day = '', hour = '00', minute = '00', second = '00', fraction = '', zone] = match;
  const days = parseDate(day);
  const time = parseTime(`${hour}:${minute}:${second}${fraction === '' ? '' : `.${fraction}`}`);
  if (days === null || time === null) return null;
  const micros = BigInt(days) * microsPerDay + time - zoneOffsetMicros(zone ?? 'Z');
  return { micros, hasZone: zone !== undefined };
}

/** Microseconds since midnight of `HH:MM[:SS[.ffffff]]`; null if it is no time below 24 h. */
export function parseTime(text: string): bigint | null {
  const match = timePattern.exec(text);
  if (match === null) return null;
  const [, hour = '0', minute = '0', second = '0', fraction = ''] = match;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return null;
  const seconds = Number(hour) * 3600 + Number(minute) * 60 + Number(second);
  return BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
}

function zoneOffsetMicros(zone: string): bigint {
  if (zone === 'Z' || zone === 'z') return 0n;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(':', '') || '0');
  return BigInt(zone.startsWith('-') ? -minutes : minutes) * 60_000_000n;
}

/** Midnight of a day, as microseconds. */
export function dayToMicros(days: number): bigint {
  return BigInt(days) * microsPerDay;
}

/** -1, 0 or 1 by code point, as databases with a C locale and DuckDB order texts (JavaScript orders by UTF-16 unit). */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x !== y) return orderOfUnit(x) < orderOfUnit(y) ? -1 : 1;
  }
  return a.length < b.length ? -1 : 1;
}

/** Surrogates stand for code points above every other unit. */
function orderOfUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** -1, 0 or 1; NaN equals itself and is above everything, as in Postgres and DuckDB. */
export function compareDouble(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

/** Changes case letter by letter, so that a text keeps its length, as SQL does (`ß` stays one letter). */
export function changeCase(text: string, to: 'lower' | 'upper'): string {
  let changed = '';
  for (const letter of text) {
    const other = to === 'lower' ? letter.toLowerCase() : letter.toUpperCase();
    changed += [...other].length === 1 ? other : letter;
  }
  return changed;
}

/** The double next to `unscaled / 10^scale`. */
export function decimalToDouble(unscaled: bigint, scale: number): number {
  return scale === 0 ? Number(unscaled) : Number(`${unscaled}e-${scale}`);
}

/** A LIKE pattern as a test: `%` any text, `_` one character, `escapeWith` takes the next as it is. Null if it ends with it. */
export function likeTest(pattern: string, escapeWith: string | null): RegExp | null {
  let source = '';
  const letters = [...pattern];
  for (let index = 0; index < letters.length; index++) {
    let letter = letters[index] ?? '';
    if (letter === escapeWith) {
      const next = letters[++index];
      if (next === undefined) return null;
      letter = next;
    } else if (letter === '%' || letter === '_') {
      source += letter === '%' ? '.*' : '.';
      continue;
    }
    source += letter.replace(/[\\^$.*+?()[\]{}|]/gu, '\\$&');
  }
  return new RegExp(`^${source}$`, 'su');
}
