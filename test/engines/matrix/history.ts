import { type FieldType, keyIndexes, type Row, type Schema, type Value } from '#catalog/schemas/schema.ts';
import type { Change } from '#test/ingest/sinks/sink-driver.ts';
import { canonicalRow } from '../canonical.ts';

/** What happens to a table; each step is one commit. */
export type Step =
  | { kind: 'snapshot'; schema: Schema; rows: readonly Row[] }
  | { kind: 'changes'; schema: Schema; changes: readonly Change[] }
  /** Files are kept apart in another way from here on. */
  | { kind: 'partition'; partition: readonly string[] };

export interface TableState {
  schema: Schema;
  rows: Row[];
}

/** The source's rows after a step: what every reader of the table must find. */
export function applyStep(state: TableState | null, step: Step): TableState | null {
  if (step.kind === 'partition') return state;
  if (step.kind === 'snapshot') return { schema: step.schema, rows: [...step.rows] };
  const { schema } = step;
  const from = state?.schema ?? schema;
  // By identity, and in the order of their arrival; doubles of a table without a key share one.
  const rows = new Map<string, Row[]>();
  const add = (row: Row) => {
    const identity = identityOf(schema, row);
    rows.set(identity, [...(rows.get(identity) ?? []), row]);
  };
  for (const row of state?.rows ?? []) add(castRow(row, from, schema));
  for (const { op, before, after } of step.changes) {
    if (op === 't') rows.clear();
    const old = before ?? after;
    if (old && (op === 'd' || op === 'u')) rows.get(identityOf(schema, old))?.shift();
    if (after) add(after);
  }
  return { schema, rows: [...rows.values()].flat() };
}

function identityOf(schema: Schema, row: Row): string {
  const indexes = keyIndexes(schema);
  if (indexes.length === 0) return JSON.stringify(canonicalRow(schema, row));
  return indexes.map((index) => String(row[index])).join();
}

/** A row under a later schema: fields are found by name, those that are new are NULL. */
export function castRow(row: Row, from: Schema, to: Schema): Row {
  return castStruct(row as readonly Value[], { kind: 'struct', fields: from.fields }, to);
}

function castStruct(
  values: readonly Value[],
  from: Extract<FieldType, { kind: 'struct' }>,
  to: Pick<Extract<FieldType, { kind: 'struct' }>, 'fields'>,
): readonly Value[] {
  return to.fields.map((field) => {
    const index = from.fields.findIndex((candidate) => candidate.name === field.name);
    const old = from.fields[index];
    return old === undefined ? null : castValue(values[index] ?? null, old.type, field.type);
  });
}

function castValue(value: Value, from: FieldType, to: FieldType): Value {
  if (value === null) return null;
  if (from.kind === 'struct' && to.kind === 'struct') return castStruct(value as readonly Value[], from, to);
  if (from.kind === 'list' && to.kind === 'list') {
    return (value as readonly Value[]).map((item) => castValue(item, from.element, to.element));
  }
  if (from.kind === 'map' && to.kind === 'map') {
    return (value as readonly (readonly [Value, Value])[]).map(([key, item]) => [
      castValue(key, from.key, to.key),
      castValue(item, from.value, to.value),
    ]);
  }
  if (from.kind === 'int' && to.kind === 'long') return BigInt(value as number);
  return value;
}
