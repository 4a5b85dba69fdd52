import type { Value } from '../../schemas/schema.ts';
import type { PartitionColumn } from '../metadata/partition-spec.ts';
import { compareValues, encodeSingleValue } from '../metadata/single-value.ts';

/** What a manifest list tells of one partition field over all files of a manifest (spec, field_summary). */
export interface FieldSummary {
  containsNull: boolean;
  /** Null where the writer did not say. */
  containsNan: boolean | null;
  /** Over the values that are neither NULL nor NaN, in the binary form of the field's type; null if there is none. */
  lowerBound: Uint8Array | null;
  upperBound: Uint8Array | null;
}

/** A summary for each partition field over the tuples of a manifest's files, deleted ones too. */
export function partitionSummaries(
  columns: readonly PartitionColumn[],
  tuples: readonly (readonly Value[])[],
): FieldSummary[] {
  return columns.map((column, index) =>
    summary(
      column,
      tuples.map((tuple) => tuple[index] ?? null),
    ),
  );
}

function summary({ type, transform }: PartitionColumn, values: readonly Value[]): FieldSummary {
  // Nothing is known of the order that a later transform's values have.
  const isOrdered = transform.kind !== 'unknown';
  let lower: Value = null;
  let upper: Value = null;
  let containsNull = false;
  let containsNan = false;
  for (const value of values) {
    if (value === null) containsNull = true;
    else if (Number.isNaN(value)) containsNan = true;
    else if (isOrdered) {
      if (lower === null || compareValues(type, value, lower) < 0) lower = value;
      if (upper === null || compareValues(type, value, upper) > 0) upper = value;
    }
  }
  return {
    containsNull,
    containsNan,
    lowerBound: lower === null ? null : encodeSingleValue(type, lower),
    upperBound: upper === null ? null : encodeSingleValue(type, upper),
  };
}
