import type { FieldType, Value } from '../../schemas/schema.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { ManifestFile } from '../manifests/manifest-list.ts';
import type { IcebergField } from '../metadata/iceberg-schema.ts';
import { type PartitionColumn, partitionColumns } from '../metadata/partition-spec.ts';
import { fieldTypeOf } from '../metadata/schema-conversion.ts';
import { compareValues, decodeSingleValue } from '../metadata/single-value.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { transformer } from '../metadata/transforms.ts';
import type { FileFilter } from './live-files.ts';
import type { ScanColumn } from './scan-columns.ts';

/*
 * Which files a scan may pass over (iceberg.apache.org/spec, Scan Planning): those whose partition or whose column statistics
 * tell that no row can fulfil a filter. What is not known keeps the file.
 */

/** A filter over columns of a table; a comparison with NULL, and any with a NULL in the row, is not fulfilled. */
export type RowFilter =
  | { op: 'and' | 'or'; of: RowFilter[] }
  | { op: 'compare'; by: '=' | '<' | '<=' | '>' | '>='; field: FilterField; value: Value }
  | { op: 'null' | 'not null'; field: FilterField }
  /** Nothing is known: every row may fulfil it. */
  | { op: 'unknown' };

/** A primitive column, or field of a struct. */
export interface FilterField {
  id: number;
  type: FieldType;
}

/** The field that a path of names leads to through structs, in any case; null if there is none or it is nested. */
export function filterField(columns: readonly ScanColumn[], path: readonly string[]): FilterField | null {
  let fields: readonly IcebergField[] = columns.map((column) => column.iceberg);
  for (const [depth, name] of path.entries()) {
    const named = fields.filter((field) => field.name.toLowerCase() === name.toLowerCase());
    const [field] = named;
    if (!field || named.length > 1) return null;
    if (typeof field.type === 'string') {
      return depth === path.length - 1 ? { id: field.id, type: fieldTypeOf(field.type, field.name) } : null;
    }
    if (field.type.type !== 'struct') return null;
    fields = field.type.fields;
  }
  return null;
}

/** The files and manifests that may hold rows that fulfil the filter. */
export function fileFilter(filter: RowFilter, metadata: TableMetadata): FileFilter {
  const specs = new Map<number, PartitionColumn[]>();
  const columnsOf = (specId: number) => {
    const known = specs.get(specId) ?? partitionColumns(metadata, specId);
    specs.set(specId, known);
    return known;
  };
  return {
    mayMatch: (file) => holds(filter, (leaf) => fileMayMatch(leaf, file, columnsOf(file.specId))),
    mayHoldRows: (manifest) => holds(filter, (leaf) => manifestMayMatch(leaf, manifest, columnsOf(manifest.specId))),
  };
}

type Leaf = Exclude<RowFilter, { op: 'and' | 'or' | 'unknown' }>;

function holds(filter: RowFilter, mayMatch: (leaf: Leaf) => boolean): boolean {
  switch (filter.op) {
    case 'and':
      return filter.of.every((part) => holds(part, mayMatch));
    case 'or':
      return filter.of.some((part) => holds(part, mayMatch));
    case 'unknown':
      return true;
    default:
      return mayMatch(filter);
  }
}

/** What is known of a set of values: the range of those that are neither NULL nor NaN, null where an end is not known. */
interface Range {
  lower: Value;
  upper: Value;
  mayBeNull: boolean;
  mayBeNan: boolean;
  /** Nothing but NULL. */
  isAllNull: boolean;
}

function fileMayMatch(leaf: Leaf, file: DataFile, partition: readonly PartitionColumn[]): boolean {
  if (!rangeMayMatch(leaf, statisticsOf(leaf.field, file))) return false;
  return partition.every((column, index) => {
    if (column.sourceId !== leaf.field.id) return true;
    const value = file.partition[index] ?? null;
    const isNan = Number.isNaN(value);
    const known = isNan ? null : value;
    return partitionMayMatch(leaf, column, {
      lower: known,
      upper: known,
      mayBeNull: value === null,
      mayBeNan: isNan,
      isAllNull: value === null,
    });
  });
}

function statisticsOf(field: FilterField, file: DataFile): Range {
  const values = file.valueCounts.get(field.id);
  const nulls = file.nullCounts.get(field.id);
  const lower = file.lowerBounds.get(field.id);
  const upper = file.upperBounds.get(field.id);
  return {
    lower: lower ? usable(decodeSingleValue(field.type, lower)) : null,
    upper: upper ? usable(decodeSingleValue(field.type, upper)) : null,
    mayBeNull: nulls !== 0,
    mayBeNan: isFloating(field.type) && file.nanCounts.get(field.id) !== 0,
    isAllNull: values !== undefined && values === nulls && values > 0,
  };
}

// Some writers let NaN into bounds: then they say nothing.
function usable(value: Value): Value {
  return Number.isNaN(value) ? null : value;
}

function manifestMayMatch(leaf: Leaf, manifest: ManifestFile, partition: readonly PartitionColumn[]): boolean {
  return partition.every((column, index) => {
    const summary = manifest.partitions[index];
    if (column.sourceId !== leaf.field.id || !summary) return true;
    const { lowerBound, upperBound, containsNull, containsNan } = summary;
    return partitionMayMatch(leaf, column, {
      lower: lowerBound ? usable(decodeSingleValue(column.type, lowerBound)) : null,
      upper: upperBound ? usable(decodeSingleValue(column.type, upperBound)) : null,
      mayBeNull: containsNull,
      mayBeNan: isFloating(column.type) && containsNan !== false,
      isAllNull: containsNull && !lowerBound && !upperBound && containsNan === false,
    });
  });
}

/**
 * A transform that keeps order turns `column < 5` into `transform(column) <= transform(5)`; any turns `=` into `=`. NULL is
 * the transform of NULL alone.
 */
function partitionMayMatch(leaf: Leaf, column: PartitionColumn, range: Range): boolean {
  const { transform } = column;
  if (transform.kind === 'void' || transform.kind === 'unknown') return true;
  if (!('by' in leaf)) return rangeMayMatch(leaf, range);
  if (!fits(column.sourceType, leaf.value)) return true;
  const isIdentity = transform.kind === 'identity';
  if (transform.kind === 'bucket' && leaf.by !== '=') return true;
  const value = transformer(transform, column.sourceType)(sourceValue(column.sourceType, leaf.value));
  const by = isIdentity || leaf.by === '=' ? leaf.by : loose[leaf.by];
  return rangeMayMatch({ op: 'compare', by, field: { id: column.sourceId, type: column.type }, value }, range);
}

const loose = { '<': '<=', '<=': '<=', '>': '>=', '>=': '>=' } as const;

/** A column may have been widened since the spec's files were written: only values that it could hold then are transformed. */
function fits(type: FieldType, value: Value): boolean {
  if (type.kind === 'int') return Number(value) >= -(2 ** 31) && Number(value) < 2 ** 31;
  return true;
}

function sourceValue(type: FieldType, value: Value): Value {
  if (type.kind === 'int') return Number(value);
  return type.kind === 'long' ? BigInt(value as number | bigint) : value;
}

function rangeMayMatch(leaf: Leaf, range: Range): boolean {
  if (!('by' in leaf)) return leaf.op === 'null' ? range.mayBeNull : !range.isAllNull;
  if (range.isAllNull) return false;
  const { field, by, value } = leaf;
  const below = range.lower === null ? -1 : compare(field.type, range.lower, value);
  const above = range.upper === null ? 1 : compare(field.type, range.upper, value);
  switch (by) {
    case '=':
      return below <= 0 && above >= 0;
    case '<':
      return below < 0;
    case '<=':
      return below <= 0;
    // To DuckDB NaN is above all numbers.
    case '>':
      return above > 0 || range.mayBeNan;
    case '>=':
      return above >= 0 || range.mayBeNan;
  }
}

function compare(type: FieldType, a: Value, b: Value): number {
  // To SQL the two zeros are equal.
  if (isFloating(type)) return Number((a as number) > (b as number)) - Number((a as number) < (b as number));
  return compareValues(type, a, b);
}

function isFloating(type: FieldType): boolean {
  return type.kind === 'float' || type.kind === 'double';
}
