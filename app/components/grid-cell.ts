import type { GridColumn } from './data-grid.tsx';
import { count } from './numbers.ts';

const numericType =
  /^(tinyint|smallint|integer|int|bigint|long|hugeint|utinyint|usmallint|uinteger|ubigint|uhugeint|bignum|float|real|double|decimal|numeric)\b/i;

export function isNumeric(type: string): boolean {
  return numericType.test(type) && !type.endsWith(']');
}

/** Ids and years are names made of digits: they stand without separators. */
const isName = (column: string) => /(^|[_.])(id|year|number|code)s?$/i.test(column);

/**
 * A value as people read it: long numbers with separators, instants with a space in place of T, structs as JSON.
 * `whole` gives it exactly as it is, for copying and for showing the value alone.
 */
export function cellText(value: unknown, column: GridColumn, whole: boolean): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'object') return JSON.stringify(value, null, whole ? 2 : 0);
  const text = String(value);
  if (whole) return text;
  if (isNumeric(column.type)) return isName(column.name) ? text : separated(text);
  if (/^timestamp/i.test(column.type)) {
    return text.replace(/^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?/, (_, day, time, fraction: string = '') => {
      const kept = fraction.replace(/0+$/, '');
      return `${day} ${time}${kept === '.' ? '' : kept}`;
    });
  }
  return text.length > 300 ? `${text.slice(0, 300)} …` : text;
}

function separated(text: string): string {
  const parts = /^(-?)(\d{4,})(\.\d+)?$/.exec(text);
  if (!parts) return text;
  return `${parts[1]}${count(BigInt(parts[2] ?? '0'))}${parts[3] ?? ''}`;
}

/** Pixels that a column wants: as wide as its name or its usual values, within limits. */
export function widthOf(column: GridColumn, values: readonly unknown[]): number {
  const lengths = values.map((value) => cellText(value, column, false).length).sort((a, b) => a - b);
  const usual = lengths[Math.floor(lengths.length * 0.9)] ?? 0;
  const head = column.name.length + Math.min(column.type.length, 14) * 0.85 + 2;
  return Math.round(Math.min(380, Math.max(72, Math.max(usual, head) * 7.4 + 26)));
}
