import { DailiesError } from '#catalog/error.ts';
import { type FieldType, type Row, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { decimalText } from './binlog/decimal.ts';
import type { ColumnType } from './column-type.ts';
import type { SourceTable } from './discovery.ts';
import { quoteIdentifier } from './sql.ts';
import { timeText } from './temporal.ts';

/** The key of a table as SQL: its order, what is behind a row, and which rows are asked for. */
export class KeySql {
  readonly #columns: readonly { name: string; type: ColumnType }[];

  constructor(table: SourceTable) {
    this.#columns = table.key.map((name) => {
      const type = table.columns.find((column) => column.name === name)?.type;
      if (type) return { name: quoteIdentifier(name), type };
      throw new DailiesError('internal', `The key of ${table.name} has a column ${name} that the table has not.`);
    });
  }

  /** For a SELECT: each column of the key as `after` takes it, in key order. */
  get select(): string {
    return this.#columns.map(({ name, type }) => printed(name, type)).join(', ');
  }

  get order(): string {
    return this.#columns.map(({ name }) => name).join(', ');
  }

  /** True for rows whose key comes after this one in `order`; `texts` are what the server printed for `select`. */
  after(texts: readonly string[]): string {
    const parts = this.#columns.map(({ name, type }, index) => {
      // A label compares as text, but is ordered by its number.
      const column = type.kind === 'enum' || type.kind === 'set' ? `(${name} + 0)` : name;
      return { column, literal: literalOf(type, texts[index] ?? '') };
    });
    const [first] = parts;
    const alternatives = parts.map(({ column, literal }, index) => {
      const equal = parts.slice(0, index).map((part) => `${part.column} = ${part.literal}`);
      return [...equal, `${column} > ${literal}`].join(' AND ');
    });
    return `${first?.column} >= ${first?.literal} AND (${alternatives.join(' OR ')})`;
  }

  /** True for the row of this key, and for those whose key the server takes for the same. */
  equals(key: Row, types: readonly FieldType[]): string {
    const parts = this.#columns.map(({ name, type }, index) => {
      const value = key[index];
      if (value === null || value === undefined || value === UNKNOWN) {
        throw new DailiesError('invalid', 'A row cannot be read again without its whole key.');
      }
      const text = textOf(types[index] as FieldType, type, value);
      const isLabel = type.kind === 'enum' || type.kind === 'set';
      return `${name} = ${isLabel ? quoteText(text) : literalOf(type, text)}`;
    });
    return `(${parts.join(' AND ')})`;
  }
}

function printed(name: string, type: ColumnType): string {
  switch (type.kind) {
    case 'bytes':
    case 'vector':
    case 'geometry':
      return `HEX(${name})`;
    case 'enum':
    case 'set':
    case 'bit':
      return `${name} + 0`;
    case 'float':
    case 'double':
      return `${name} + 0e0`;
    default:
      return name;
  }
}

function literalOf(type: ColumnType, text: string): string {
  switch (type.kind) {
    case 'integer':
    case 'decimal':
    case 'year':
    case 'bit':
    case 'enum':
    case 'set':
      return /^-?\d+(\.\d+)?$/.test(text) ? text : quoteText(text);
    case 'float':
    case 'double':
      // Without an exponent it would be a decimal.
      return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? `${text}${text.includes('e') ? '' : 'e0'}` : quoteText(text);
    case 'bytes':
    case 'vector':
    case 'geometry':
      return /^([0-9A-Fa-f]{2})*$/.test(text) ? `X'${text}'` : quoteText(text);
    default:
      return quoteText(text);
  }
}

/** For the pinned sql_mode, in which a backslash escapes. */
function quoteText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

function textOf(carried: FieldType, type: ColumnType, value: Value): string {
  switch (carried.kind) {
    case 'decimal':
      return decimalText(value as bigint, carried.scale);
    case 'boolean':
      return value === true ? '1' : '0';
    case 'date':
      return new Date((value as number) * 86_400_000).toISOString().slice(0, 10);
    case 'time':
      return timeText(value as bigint, 6);
    case 'timestamp':
    case 'timestamptz': {
      const micros = value as bigint;
      const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
      const text = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19).replace('T', ' ');
      return `${text}.${String(fraction).padStart(6, '0')}`;
    }
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex');
    case 'float':
    case 'double':
      return String(value);
    default:
      return type.kind === 'year' ? String(value).padStart(4, '0') : String(value);
  }
}
