import type { DuckDBConnection } from '@duckdb/node-api';
import type { Field, FieldType } from '../../schemas/schema.ts';
import { identifier, literal } from './duckdb-values.ts';

/*
 * DuckDB's Parquet writer (1.5, github.com/duckdb/duckdb/issues/25781) takes -0 and 0 for one word of a column's dictionary,
 * so that all zeros come out with the sign of the first; and a Bloom filter, which it writes beside a dictionary, knows the
 * one zero only, so that `x = 0` finds nothing where -0 is. Neither can be chosen by column: files with floating-point
 * columns have no Bloom filters, and those in which a -0 stands have no dictionaries.
 */
type Column = Pick<Field, 'name' | 'type'>;

/**
 * What is to follow the other options of a COPY of this SELECT to Parquet, so that zeros keep their signs: a text that
 * begins with a comma, or is empty. Looks through the floating-point columns for a -0; `columns` are those of the SELECT.
 */
export async function zeroSignOptions(
  connection: DuckDBConnection,
  select: string,
  columns: readonly Column[],
): Promise<string> {
  const conditions = columns.flatMap(({ name, type }) => negativeZeroIn(type, identifier(name)) ?? []);
  if (conditions.length === 0) return '';
  // An aggregate: a condition of the scan's own would be asked of the Bloom filters of files that have some.
  const found = await connection.runAndReadAll(`SELECT bool_or(${conditions.join(' OR ')}) FROM (${select})`);
  return optionsFor(columns, found.getRows()[0]?.[0] === true);
}

/** The same where it is known whether a -0 is among the floating-point values. */
export function optionsFor(columns: readonly Column[], hasNegativeZero: boolean): string {
  if (!columns.some(({ type }) => hasFloats(type))) return '';
  return hasNegativeZero ? ', DICTIONARY_SIZE_LIMIT 0' : ', WRITE_BLOOM_FILTER false';
}

/** True for a floating-point type, and for one that holds such. */
export function hasFloats(type: FieldType): boolean {
  switch (type.kind) {
    case 'float':
    case 'double':
      return true;
    case 'struct':
      return type.fields.some((field) => hasFloats(field.type));
    case 'list':
      return hasFloats(type.element);
    case 'map':
      return hasFloats(type.key) || hasFloats(type.value);
    default:
      return false;
  }
}

/** An SQL condition: true where there is a -0 in a value, false or NULL elsewhere. Null for types without floats. */
function negativeZeroIn(type: FieldType, value: string, depth = 0): string | null {
  if (!hasFloats(type)) return null;
  switch (type.kind) {
    case 'struct': {
      const parts = type.fields.flatMap(
        (field) => negativeZeroIn(field.type, `struct_extract(${value}, ${literal(field.name)})`, depth) ?? [],
      );
      return `(${parts.join(' OR ')})`;
    }
    case 'list':
      return anyElement(type.element, value, depth);
    case 'map': {
      const keys = anyElement(type.key, `map_keys(${value})`, depth);
      const values = anyElement(type.value, `map_values(${value})`, depth);
      return `(${[keys, values].filter((part) => part !== null).join(' OR ')})`;
    }
    default:
      return `(${value} = 0 AND signbit(${value}))`;
  }
}

function anyElement(type: FieldType, list: string, depth: number): string | null {
  const condition = negativeZeroIn(type, `e${depth}`, depth + 1);
  return condition === null ? null : `len(list_filter(${list}, lambda e${depth}: ${condition})) > 0`;
}
