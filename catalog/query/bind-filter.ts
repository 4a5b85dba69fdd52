import { filterField, type RowFilter } from '../iceberg/read/pruning.ts';
import type { ScanColumn } from '../iceberg/read/scan-columns.ts';
import type { FieldType, Value } from '../schemas/schema.ts';
import type { BoundParameter } from './parameters.ts';
import type { Comparison, FilterValue, TableFilter } from './table-filter.ts';
import { parseTime } from './table-point.ts';

/**
 * A statement's filter over the columns of the table that it reads. A comparison in which DuckDB would turn the column into
 * another type, or of a column that is not there, becomes `unknown`.
 */
export function bindFilter(
  filter: TableFilter,
  columns: readonly ScanColumn[],
  parameters: readonly BoundParameter[],
): RowFilter {
  if ('of' in filter) {
    return { op: filter.op, of: filter.of.map((part) => bindFilter(part, columns, parameters)) };
  }
  const field = filterField(columns, filter.column);
  if (field === null) return { op: 'unknown' };
  if (!('value' in filter)) return { op: filter.op, field };
  const isBound = filter.value.kind === 'parameter';
  const literal = filter.value.kind === 'parameter' ? parameterValue(filter.value.name, parameters) : filter.value;
  // A bound text is of type VARCHAR, unlike a literal: with other types DuckDB compares as it sees fit.
  if (isBound && literal?.kind === 'text' && field.type.kind !== 'string') return { op: 'unknown' };
  const bound = literal === null ? null : comparable(field.type, filter.op, literal);
  return bound === null ? { op: 'unknown' } : { op: 'compare', field, ...bound };
}

type Literal = Exclude<FilterValue, { kind: 'parameter' }>;

function parameterValue(name: string, parameters: readonly BoundParameter[]): Literal | null {
  const bound = parameters.find((parameter) => parameter.name.toLowerCase() === name.toLowerCase());
  const text = bound?.value ?? null;
  if (!bound || text === null) return null;
  switch (bound.type) {
    case 'text':
      return { kind: 'text', text };
    case 'integer':
    case 'decimal':
      return { kind: 'number', text };
    case 'date':
    case 'timestamp':
      return { kind: bound.type, text };
    case 'double':
    case 'boolean':
      return null;
  }
}

/** The comparison with the value in the column's own type; null where that is another comparison. */
function comparable(type: FieldType, by: Comparison, { kind, text }: Literal): { by: Comparison; value: Value } | null {
  switch (type.kind) {
    case 'string':
      return kind === 'text' ? { by, value: text } : null;
    case 'int':
    case 'long':
      return kind === 'number' ? wholeNumber(by, text, type.kind) : null;
    case 'decimal': {
      if (kind !== 'number') return null;
      const [whole = '', fraction = ''] = text.split('.');
      const digits = fraction.replace(/0+$/, '');
      if (digits.length > type.scale) return null;
      return { by, value: BigInt(`${whole}${digits.padEnd(type.scale, '0')}`) };
    }
    case 'double':
      return kind === 'number' ? { by, value: Number(text) } : null;
    case 'date': {
      const timeMs = kind === 'date' || (kind === 'text' && /^\d{4}-\d\d-\d\d$/.test(text)) ? parseTime(text) : null;
      return timeMs === null ? null : { by, value: Math.floor(timeMs / 86_400_000) };
    }
    case 'timestamp':
    case 'timestamptz': {
      const isZoned = /(Z|[+-]\d\d(:?\d\d)?)$/i.test(text.replace(/^\d+-\d\d-\d\d/, ''));
      const micros = kind === 'number' || (isZoned && type.kind === 'timestamp') ? null : parseMicros(text);
      return micros === null ? null : { by, value: micros };
    }
    default:
      return null;
  }
}

/** `x > 5.5` of whole numbers is `x > 5`. */
function wholeNumber(by: Comparison, text: string, kind: 'int' | 'long'): { by: Comparison; value: Value } | null {
  const [whole = '', fraction = ''] = text.split('.');
  const isWhole = /^0*$/.test(fraction);
  if (!/^-?\d+$/.test(whole) || (!isWhole && by === '=')) return null;
  const below = BigInt(whole) - (!isWhole && text.startsWith('-') ? 1n : 0n);
  const value = (of: bigint): Value => (kind === 'int' ? Number(of) : of);
  if (isWhole) return { by, value: value(BigInt(whole)) };
  return by === '>' || by === '>=' ? { by: '>', value: value(below) } : { by: '<', value: value(below + 1n) };
}

function parseMicros(text: string): bigint | null {
  const timeMs = parseTime(text);
  if (timeMs === null) return null;
  const fraction = /:\d\d\.(\d{1,9})/.exec(text)?.[1] ?? '';
  // Beyond microseconds DuckDB rounds: not known here.
  if (fraction.length > 6) return null;
  return BigInt(timeMs) * 1000n + BigInt(fraction.slice(3).padEnd(3, '0') || '0');
}
