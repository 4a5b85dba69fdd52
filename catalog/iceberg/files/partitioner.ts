import { DailiesError } from '../../error.ts';
import type { Field, Schema, Value } from '../../schemas/schema.ts';
import type { IcebergField, IcebergSchema } from '../metadata/iceberg-schema.ts';
import type { PartitionColumn } from '../metadata/partition-spec.ts';
import { transformer } from '../metadata/transforms.ts';

/** A function that gives the partition tuple of a row in schema order: a value for each of the spec's fields. */
export function partitionerOf(layout: {
  schema: Schema;
  iceberg: IcebergSchema;
  partition: readonly PartitionColumn[];
}): (row: readonly Value[]) => readonly Value[] {
  if (layout.partition.length === 0) return () => [];
  const parts = layout.partition.map((column) => {
    // A field without values any more: its column may be gone.
    if (column.transform.kind === 'void') return () => null;
    const path = pathTo(column.sourceId, layout.schema.fields, layout.iceberg.fields);
    if (!path) {
      throw new DailiesError('internal', `The partition field "${column.name}" is made of a column that is gone.`);
    }
    const transform = transformer(column.transform, column.sourceType);
    return (row: readonly Value[]) => transform(valueAt(row, path));
  });
  return (row) => parts.map((part) => part(row));
}

/** A text that is equal exactly for equal tuples of one spec. */
export function tupleKey(tuple: readonly Value[]): string {
  return tuple.map(valueKey).join('\u0000');
}

function valueKey(value: Value): string {
  if (value === null) return 'n';
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString('hex')}`;
  // The two zeros are different partitions, as their bits are.
  if (Object.is(value, -0)) return 'v-0';
  return `v${String(value).length}:${String(value)}`;
}

/** Indexes that lead to a field through structs; null if it is not there. */
function pathTo(id: number, fields: readonly Field[], iceberg: readonly IcebergField[]): number[] | null {
  for (const [index, field] of fields.entries()) {
    const twin = iceberg[index];
    if (!twin) continue;
    if (twin.id === id) return [index];
    if (field.type.kind === 'struct' && typeof twin.type === 'object' && twin.type.type === 'struct') {
      const rest = pathTo(id, field.type.fields, twin.type.fields);
      if (rest) return [index, ...rest];
    }
  }
  return null;
}

function valueAt(row: readonly Value[], path: readonly number[]): Value {
  let value: Value = row;
  for (const index of path) {
    if (!Array.isArray(value)) return null;
    value = (value as readonly Value[])[index] ?? null;
  }
  return value;
}
