/*
 * ISO 8601 as producers write it, exactly: years 0001 to 9999, up to six decimals of a second. Each answers null for what is
 * no such text, or no such day.
 */

const dayForm = /^(\d{4})-(\d\d)-(\d\d)$/;
const timeForm = /^(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?$/;
const zoneForm = /^(?:[Zz]|([+-])(\d\d):?(\d\d)?)$/;

/** Days since 1970-01-01. */
export function dayNumber(text: string): number | null {
  const match = dayForm.exec(text);
  if (!match || match[1] === '0000') return null;
  const ms = Date.parse(`${text}T00:00:00Z`);
  // Date rolls 02-30 over; what it prints tells.
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== text) return null;
  return ms / 86_400_000;
}

/** Microseconds since midnight, below 24 h. Decimals beyond microseconds must be zero. */
export function parseMicrosOfDay(text: string): bigint | null {
  const match = timeForm.exec(text);
  if (!match) return null;
  const [, hours, minutes, seconds = '0', fraction = ''] = match;
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return null;
  if (/[1-9]/.test(fraction.slice(6))) return null;
  const whole = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
  return BigInt(whole) * 1_000_000n + BigInt(fraction.slice(0, 6).padEnd(6, '0'));
}

/** Microseconds since 1970; in UTC with a zone, which `hasZone` demands or forbids. */
export function parseInstant(text: string, hasZone: boolean): bigint | null {
  const day = dayNumber(text.slice(0, 10));
  if (day === null || !/[Tt ]/.test(text[10] ?? '')) return null;
  const rest = text.slice(11);
  const zoneAt = rest.search(/[Zz+-]/);
  if (zoneAt >= 0 !== hasZone) return null;
  const micros = parseMicrosOfDay(zoneAt < 0 ? rest : rest.slice(0, zoneAt));
  const offset = zoneAt < 0 ? 0 : zoneMinutes(rest.slice(zoneAt));
  if (micros === null || offset === null) return null;
  return BigInt(day) * 86_400_000_000n + micros - BigInt(offset) * 60_000_000n;
}

function zoneMinutes(text: string): number | null {
  const match = zoneForm.exec(text);
  if (!match) return null;
  const [, sign, hours = '0', minutes = '0'] = match;
  if (Number(hours) > 18 || Number(minutes) > 59) return null;
  const offset = Number(hours) * 60 + Number(minutes);
  return sign === '-' ? -offset : offset;
}
