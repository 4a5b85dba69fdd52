import { DailiesError } from '#catalog/error.ts';
import { type Field, keyIndexes, type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { TableChanges } from '../event.ts';
import type { ProcessorDeps } from '../processor.ts';

const rowsPerRead = 1_000;

/**
 * Reads the values that the `after` of these events (by index) lacks from the source, by key, as they are now. A row newer
 * than its event is right in the end: the change that made it newer brings its own event. Null for a row that is gone.
 */
export async function readMissingValues(
  changes: TableChanges,
  indexes: readonly number[],
  deps: Pick<ProcessorDeps, 'readRows'>,
  signal: AbortSignal,
): Promise<Map<number, Row | null>> {
  const filled = new Map<number, Row | null>();
  if (indexes.length === 0) return filled;
  const { schema, events, table } = changes;
  const keys = keyIndexes(schema);
  const wanted = schema.fields.flatMap((_, field) =>
    indexes.some((index) => events[index]?.after?.[field] === UNKNOWN) ? [field] : [],
  );
  if (keys.length === 0) throw keyless(table, schema, wanted);
  const read = readSchema(schema, [...keys, ...wanted], table);
  for (let start = 0; start < indexes.length; start += rowsPerRead) {
    const part = indexes.slice(start, start + rowsPerRead);
    const rows = part.map((index) => events[index]?.after ?? []);
    const current = await deps.readRows(
      table,
      read,
      rows.map((row) => keys.map((key) => row[key] ?? null)),
      signal,
    );
    for (const [place, index] of part.entries()) {
      const now = current.get(place);
      filled.set(index, now === undefined ? null : fill(rows[place] ?? [], wanted, now, keys.length));
    }
  }
  return filled;
}

function fill(row: Row, wanted: readonly number[], now: Row, offset: number): Row {
  const whole = [...row];
  for (const [place, field] of wanted.entries())
    if (whole[field] === UNKNOWN) whole[field] = now[offset + place] ?? null;
  return whole;
}

/** These fields under the names that the source has for them, the first `schema.key.length` of them being the key. */
function readSchema(schema: Schema, indexes: readonly number[], table: string): Schema {
  const fields = indexes.map((index) => sourceField(schema.fields[index], table));
  return { fields, key: fields.slice(0, schema.key.length).map(({ name }) => name) };
}

function sourceField(field: Field | undefined, table: string): Field {
  const path = field?.origin?.kind === 'column' ? field.origin.path : [field?.name ?? ''];
  const [name = ''] = path;
  if (field === undefined || field.origin?.kind === 'graph' || path.length !== 1)
    throw new DailiesError('internal', `A value of ${table}.${field?.name} that no source column holds was asked for.`);
  return { name, type: field.type, required: field.required };
}

function keyless(table: string, schema: Schema, wanted: readonly number[]): DailiesError {
  const names = wanted.map((field) => schema.fields[field]?.name).join(', ');
  return new DailiesError(
    'value_unsupported',
    `A change to ${table} came without the value of ${names}, and the table has no key to read it again by: set its REPLICA IDENTITY to FULL.`,
    { details: { table, columns: names } },
  );
}
