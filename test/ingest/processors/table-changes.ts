import { DailiesError } from '#catalog/error.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, Op, TableChanges } from '#ingest/event.ts';
import type { ProcessorDeps } from '#ingest/processor.ts';

export const movieSchema: Schema = {
  key: ['id'],
  fields: [
    { name: 'id', required: true, type: { kind: 'long' } },
    { name: 'title', required: false, type: { kind: 'string' } },
    { name: 'status', required: false, type: { kind: 'string' } },
    { name: 'synopsis', required: false, type: { kind: 'string' } },
  ],
};

export function change(op: Op, before: Row | null, after: Row | null): ChangeEvent {
  return { op, before, after, tx: 0 };
}

export function tableChanges(events: ChangeEvent[], schema: Schema = movieSchema): TableChanges {
  return {
    table: 'production.public.movie',
    schema,
    events,
    transactions: [{ id: '7', position: '0/7', timeMicros: 7n }],
  };
}

/** A source that holds these rows, in the order of `schema`, and tells what was read from it. */
export function sourceOf(schema: Schema, rows: readonly Row[]) {
  const reads: { names: string[]; keys: readonly Row[] }[] = [];
  const deps: ProcessorDeps = {
    now: () => new Date(),
    fetch: globalThis.fetch,
    readRows: async (_table, wanted, keys) => {
      reads.push({ names: wanted.fields.map(({ name }) => name), keys });
      const places = wanted.fields.map(({ name }) => schema.fields.findIndex((field) => field.name === name));
      if (places.includes(-1)) throw new DailiesError('internal', 'The source has no such column.');
      const keyPlaces = wanted.key.map((name) => schema.fields.findIndex((field) => field.name === name));
      const found = new Map<number, Row>();
      for (const [index, key] of keys.entries()) {
        const row = rows.find((candidate) => keyPlaces.every((place, part) => candidate[place] === key[part]));
        if (row !== undefined)
          found.set(
            index,
            places.map((place) => row[place] ?? null),
          );
      }
      return found;
    },
  };
  return { deps, reads };
}

export const never = new AbortController().signal;
