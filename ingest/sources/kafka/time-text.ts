/*
 * Days, times and instants of any size as ISO 8601 with years of four digits, or more behind a sign, proleptic Gregorian: what
 * stands in a text column beside a value that its type cannot carry, as Java prints it.
 */

/** 0001-01-01 and 9999-12-31, in days since 1970. */
const firstDay = -719_162n;
const lastDay = 2_932_896n;
const nanosOfDay = 86_400_000_000_000n;

export function isDay(days: bigint): boolean {
  return days >= firstDay && days <= lastDay;
}

/** True for nanoseconds since 1970 from year 1 to year 9999. */
export function isInstant(nanos: bigint): boolean {
  return isDay(floorDivide(nanos, nanosOfDay));
}

export function isTimeOfDay(nanos: bigint): boolean {
  return nanos >= 0n && nanos < nanosOfDay;
}

/** `2024-02-29`, `-0043-03-15`, `+12345-01-01`. */
export function dayText(days: bigint): string {
  // Howard Hinnant's civil_from_days: eras of 400 years that begin on the first of March.
  const shifted = days + 719_468n;
  const era = floorDivide(shifted, 146_097n);
  const ofEra = shifted - era * 146_097n;
  const yearOfEra = (ofEra - ofEra / 1460n + ofEra / 36_524n - ofEra / 146_096n) / 365n;
  const ofYear = ofEra - (365n * yearOfEra + yearOfEra / 4n - yearOfEra / 100n);
  const shiftedMonth = (5n * ofYear + 2n) / 153n;
  const day = ofYear - (153n * shiftedMonth + 2n) / 5n + 1n;
  const month = shiftedMonth < 10n ? shiftedMonth + 3n : shiftedMonth - 9n;
  const year = yearOfEra + era * 400n + (month <= 2n ? 1n : 0n);
  return `${yearText(year)}-${two(month)}-${two(day)}`;
}

/** `24:00:00`, `-838:59:59`, `12:34:56.000000001`: the fraction without zeros at its end. */
export function timeText(nanos: bigint): string {
  const size = nanos < 0n ? -nanos : nanos;
  const seconds = size / 1_000_000_000n;
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  const clock = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  return `${nanos < 0n ? '-' : ''}${clock}${fraction === '' ? '' : `.${fraction}`}`;
}

/** `+12345-01-01T00:00:00.5`. */
export function instantText(nanos: bigint): string {
  const days = floorDivide(nanos, nanosOfDay);
  return `${dayText(days)}T${timeText(nanos - days * nanosOfDay)}`;
}

function yearText(year: bigint): string {
  const digits = String(year < 0n ? -year : year).padStart(4, '0');
  return year < 0n ? `-${digits}` : year > 9999n ? `+${digits}` : digits;
}

function two(value: bigint): string {
  return String(value).padStart(2, '0');
}

function floorDivide(value: bigint, by: bigint): bigint {
  return value >= 0n ? value / by : -((-value + by - 1n) / by);
}
