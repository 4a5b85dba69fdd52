import type { Field, FieldType, Row, Schema, UNKNOWN, Value } from '../../schemas/schema.ts';

type Reshape = (value: Value) => Value;

/**
 * A function that gives rows of one schema the shape of another that followed it: columns by name at any depth, NULL or the
 * default for those that are new, values in the form of wider types. Values that no event carried stay so.
 */
export function rowReshaper(from: Schema, to: Schema): (row: Row) => Row {
  const sources = sourcesOf(from.fields, to.fields);
  return (row) => sources.map(({ index, convert, absent }) => reshaped(index < 0 ? absent : row[index], convert));
}

function reshaped(value: Value | typeof UNKNOWN | undefined, convert: Reshape): Value | typeof UNKNOWN {
  if (value === null || value === undefined) return null;
  return typeof value === 'symbol' ? value : convert(value);
}

function sourcesOf(from: readonly Field[], to: readonly Field[]) {
  return to.map((field) => {
    const index = from.findIndex((candidate) => candidate.name === field.name);
    const old = from[index];
    return {
      index,
      convert: old ? reshaper(old.type, field.type) : same,
      absent: field.initialDefault ?? null,
    };
  });
}

function same(value: Value): Value {
  return value;
}

function reshaper(from: FieldType, to: FieldType): Reshape {
  if (from.kind === 'struct' && to.kind === 'struct') {
    const sources = sourcesOf(from.fields, to.fields);
    return (value) =>
      sources.map(({ index, convert, absent }) => {
        const part = index < 0 ? absent : ((value as readonly Value[])[index] ?? null);
        return part === null ? null : convert(part);
      });
  }
  if (from.kind === 'list' && to.kind === 'list') {
    const convert = reshaper(from.element, to.element);
    return (value) => (value as readonly Value[]).map((item) => (item === null ? null : convert(item)));
  }
  if (from.kind === 'map' && to.kind === 'map') {
    const convert = reshaper(from.value, to.value);
    return (value) =>
      (value as readonly (readonly Value[])[]).map(([key = null, item = null]) => [
        key,
        item === null ? null : convert(item),
      ]);
  }
  if (from.kind === 'int' && to.kind === 'long') return (value) => BigInt(value as number);
  if (from.kind === 'date' && to.kind === 'timestamp') return (value) => BigInt(value as number) * 86_400_000_000n;
  if (from.kind === 'date' && to.kind === 'timestamp_ns')
    return (value) => BigInt(value as number) * 86_400_000_000_000n;
  return same;
}
