import { describe, expect, test } from 'vitest';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { ChangeEvent } from '#ingest/event.ts';
import { filter } from '#ingest/processors/filter.ts';
import { project } from '#ingest/processors/project.ts';
import { change, movieSchema, never, sourceOf, tableChanges } from './table-changes.ts';

const where = "status <> 'draft'";
const draft: Row = [1n, 'A', 'draft', 'long'];
const shooting: Row = [1n, 'A', 'shooting', 'long'];
const unchanged: Row = [1n, 'A', 'shooting', UNKNOWN];
const gone = change('d', [1n, UNKNOWN, UNKNOWN, UNKNOWN], null);

async function run(events: ChangeEvent[], options: { where?: string; rows?: Row[]; schema?: Schema } = {}) {
  const schema = options.schema ?? movieSchema;
  const { deps, reads } = sourceOf(schema, options.rows ?? []);
  const step = filter.open({ where: options.where ?? where }, deps);
  const bound = await step.bind(schema, never);
  const { changes, rejected } = await bound.apply(tableChanges(events, schema), never);
  expect(rejected).toEqual([]);
  return { events: changes.events, reads };
}

describe('a filter is a view', () => {
  const cases: [string, ChangeEvent, ChangeEvent | null][] = [
    ['a created row that satisfies it enters', change('c', null, shooting), change('c', null, shooting)],
    ['a created row that does not stays out', change('c', null, draft), null],
    ['a snapshot row that does not stays out', change('r', null, draft), null],
    ['a changed row that satisfies it passes as it is', change('u', null, shooting), change('u', null, shooting)],
    ['a row that leaves is deleted by key, without an old row', change('u', null, draft), gone],
    ['a row that leaves is deleted by key, with an old row', change('u', shooting, draft), gone],
    ['a row that was out and stays out is nothing', change('u', draft, [1n, 'B', 'draft', 'long']), null],
    ['a NULL verdict is not true', change('u', null, [1n, 'A', null, 'long']), gone],
    ['a delete passes', change('d', draft, null), change('d', draft, null)],
    ['a truncate passes', change('t', null, null), change('t', null, null)],
  ];
  test.each(cases)('%s', async (_, event, expected) => {
    expect((await run([event])).events).toEqual(expected === null ? [] : [expected]);
  });

  test('a row that may enter without all its values has them read again, and no others', async () => {
    const { events, reads } = await run(
      [change('u', null, unchanged), change('u', shooting, [2n, 'B', 'post', UNKNOWN]), change('c', null, draft)],
      { rows: [shooting] },
    );
    expect(reads).toEqual([{ names: ['id', 'synopsis'], keys: [[1n]] }]);
    expect(events).toEqual([change('u', null, shooting), change('u', shooting, [2n, 'B', 'post', UNKNOWN])]);
  });

  test('a value that the condition reads is read again even where the row was in', async () => {
    const before: Row = [1n, 'A', 'post', 'long'];
    const { events } = await run([change('u', before, unchanged)], { where: "synopsis LIKE 'l%'", rows: [shooting] });
    expect(events).toEqual([change('u', before, shooting)]);
  });

  test('a row that is gone from the source by then goes', async () => {
    expect((await run([change('u', null, unchanged)])).events).toEqual([gone]);
  });

  test('without a key a row is taken away by all its values, and enters as a new one', async () => {
    const schema = { ...movieSchema, key: [] };
    const { events } = await run([change('u', shooting, draft), change('u', draft, shooting)], { schema });
    expect(events).toEqual([change('d', shooting, null), change('c', null, shooting)]);
  });

  test('behind a step that renames, the source is asked for its own columns', async () => {
    const { deps, reads } = sourceOf(movieSchema, [shooting]);
    const fields = [{ path: 'id', as: 'movie' }, 'status', { path: 'synopsis', as: 'plot' }];
    const renamed = await project.open({ fields, evolve: false }, deps).bind(movieSchema, never);
    const bound = await filter.open({ where }, deps).bind(renamed.output, never);
    const { changes } = await renamed.apply(tableChanges([change('u', null, unchanged)]), never);
    const result = await bound.apply(changes, never);
    expect(reads).toEqual([{ names: ['id', 'synopsis'], keys: [[1n]] }]);
    expect(result.changes.events).toEqual([change('u', null, [1n, 'shooting', 'long'])]);
  });
});

describe('a schema that changes', () => {
  test('upstream fields flow on, new ones too', async () => {
    const step = filter.open({ where }, sourceOf(movieSchema, []).deps);
    const wider = {
      ...movieSchema,
      fields: [...movieSchema.fields, { name: 'fee', required: false, type: { kind: 'int' } as const }],
    };
    expect((await step.bind(wider, never)).output).toEqual(wider);
    expect((await step.bind(movieSchema, never)).consumes).toEqual([{ path: 'status', required: true }]);
  });

  test('a consumed field that is gone, or has become something else, is named', async () => {
    const step = filter.open({ where }, sourceOf(movieSchema, []).deps);
    await step.bind(movieSchema, never);
    const without = { ...movieSchema, fields: movieSchema.fields.filter(({ name }) => name !== 'status') };
    await expect(step.bind(without, never)).rejects.toMatchObject({
      code: 'schema_incompatible',
      message: expect.stringContaining('"status"'),
    });
    const changed = {
      ...movieSchema,
      fields: movieSchema.fields.map((field) =>
        field.name === 'status' ? { ...field, type: { kind: 'int' } as const } : field,
      ),
    };
    await expect(step.bind(changed, never)).rejects.toMatchObject({ code: 'schema_incompatible' });
  });

  test('a condition that can never work is refused as such', async () => {
    const step = filter.open({ where: 'status > 3' }, sourceOf(movieSchema, []).deps);
    await expect(step.bind(movieSchema, never)).rejects.toMatchObject({ code: 'expression_invalid' });
    expect(filter.config.safeParse({ where: 'status >' }).error?.issues[0]?.message).toMatch(/column 9/);
  });
});
