import type { Field, FieldType, Value } from '../../schemas/schema.ts';
import type { IcebergField } from '../metadata/iceberg-schema.ts';
import { compareValues, encodeSingleValue } from '../metadata/single-value.ts';
import { encodeBound } from './bounds.ts';
import type { DataFile } from './manifest.ts';

export type Statistics = Pick<
  DataFile,
  'columnSizes' | 'valueCounts' | 'nullCounts' | 'nanCounts' | 'lowerBounds' | 'upperBounds'
>;

/** A column outside lists and maps, which has one value for each row. */
export interface Leaf {
  id: number;
  type: FieldType;
  /** Names from the top. */
  path: string[];
  /** Indexes from the top. */
  indexes: number[];
}

/** The columns that statistics are kept of. */
export function* statisticsLeaves(
  fields: readonly Field[],
  iceberg: readonly IcebergField[],
  path: readonly string[] = [],
  indexes: readonly number[] = [],
): Generator<Leaf> {
  for (const [index, field] of fields.entries()) {
    const twin = iceberg[index];
    if (!twin) continue;
    const at = { path: [...path, field.name], indexes: [...indexes, index] };
    if (field.type.kind === 'struct' && typeof twin.type === 'object' && twin.type.type === 'struct') {
      yield* statisticsLeaves(field.type.fields, twin.type.fields, at.path, at.indexes);
    } else if (field.type.kind !== 'list' && field.type.kind !== 'map') {
      yield { id: twin.id, type: field.type, ...at };
    }
  }
}

export function emptyStatistics() {
  return {
    columnSizes: new Map<number, number>(),
    valueCounts: new Map<number, number>(),
    nullCounts: new Map<number, number>(),
    nanCounts: new Map<number, number>(),
    lowerBounds: new Map<number, Uint8Array>(),
    upperBounds: new Map<number, Uint8Array>(),
  };
}

interface Column {
  leaf: Leaf;
  nulls: number;
  nans: number;
  lowest: Value;
  highest: Value;
}

/** Counts and bounds of the rows that it is shown. NaN is counted, and in no bound. */
export class StatisticsCollector {
  readonly #columns: Column[];
  #rows = 0;

  constructor(fields: readonly Field[], iceberg: readonly IcebergField[]) {
    const leaves = [...statisticsLeaves(fields, iceberg)];
    this.#columns = leaves.map((leaf) => ({ leaf, nulls: 0, nans: 0, lowest: null, highest: null }));
  }

  add(row: readonly Value[]): void {
    this.#rows += 1;
    for (const column of this.#columns) {
      let value: Value = row;
      for (const index of column.leaf.indexes)
        value = value === null ? null : ((value as readonly Value[])[index] ?? null);
      if (value === null) column.nulls += 1;
      else if (Number.isNaN(value)) column.nans += 1;
      else widen(column, value);
    }
  }

  result(): Statistics {
    const statistics = emptyStatistics();
    for (const { leaf, nulls, nans, lowest, highest } of this.#columns) {
      statistics.valueCounts.set(leaf.id, this.#rows);
      statistics.nullCounts.set(leaf.id, nulls);
      if (leaf.type.kind === 'float' || leaf.type.kind === 'double') statistics.nanCounts.set(leaf.id, nans);
      const lower = boundOf(leaf.type, lowest, 'lower');
      const upper = boundOf(leaf.type, highest, 'upper');
      if (lower) statistics.lowerBounds.set(leaf.id, lower);
      if (upper) statistics.upperBounds.set(leaf.id, upper);
    }
    return statistics;
  }
}

function widen(column: Column, value: Value): void {
  const { type } = column.leaf;
  // Bounds of bytes are not kept: few are comparable at all.
  if (type.kind === 'binary' || type.kind === 'fixed') return;
  if (column.lowest === null || compareValues(type, value, column.lowest) < 0) column.lowest = value;
  if (column.highest === null || compareValues(type, value, column.highest) > 0) column.highest = value;
}

/** Bounds that include a value, too; null for no value yet. */
export function widened(
  type: FieldType,
  { lowest, highest }: { lowest: Value; highest: Value },
  value: Value,
): { lowest: Value; highest: Value } {
  return {
    lowest: lowest === null || compareValues(type, value, lowest) < 0 ? value : lowest,
    highest: highest === null || compareValues(type, value, highest) > 0 ? value : highest,
  };
}

/** A bound in binary form, cut where it is long; null where there is none. */
export function boundOf(type: FieldType, value: Value, side: 'lower' | 'upper'): Uint8Array | null {
  if (value === null) return null;
  if (type.kind === 'string') return encodeBound(type, value as string, side);
  // A zero's sign is not told apart by who compares numbers: the outer one.
  if ((type.kind === 'float' || type.kind === 'double') && value === 0) {
    return encodeSingleValue(type, side === 'lower' ? -0 : 0);
  }
  return encodeSingleValue(type, value);
}
