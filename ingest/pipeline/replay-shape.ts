import { rowReshaper } from '#catalog/iceberg/write/row-reshaper.ts';
import {
  type FieldType,
  type Row,
  type Schema,
  schemaFingerprint,
  typeName,
  UNKNOWN,
} from '#catalog/schemas/schema.ts';

/**
 * Gives rows of an older shape that of a newer one: what the newer one has that the older one cannot tell is UNKNOWN, so that the target's own
 * value stays, or NULL and defaults for rows without a key. Null where the keys are not the same columns.
 */
export function olderRows(from: Schema, to: Schema): ((row: Row) => Row) | null {
  if (schemaFingerprint(from) === schemaFingerprint(to)) return (row) => row;
  if (String(from.key) !== String(to.key)) return null;
  const reshape = rowReshaper(from, to);
  const absent = to.fields.flatMap((field, index) => {
    const old = from.fields.find(({ name }) => name === field.name);
    return old && isFollowed(old.type, field.type) ? [] : [index];
  });
  if (absent.some((index) => to.key.includes(to.fields[index]?.name ?? ''))) return null;
  if (to.key.length === 0) return reshape;
  return (row) => {
    const next = [...reshape(row)];
    for (const index of absent) next[index] = UNKNOWN;
    return next;
  };
}

/** True where values of the one type are, or can be made, values of the other. */
function isFollowed(from: FieldType, to: FieldType): boolean {
  if (typeName(from) === typeName(to)) return true;
  if (from.kind === 'int') return to.kind === 'long';
  if (from.kind === 'float') return to.kind === 'double';
  if (from.kind === 'date') return to.kind === 'timestamp' || to.kind === 'timestamp_ns';
  return from.kind === 'decimal' && to.kind === 'decimal' && from.scale === to.scale && from.precision <= to.precision;
}
