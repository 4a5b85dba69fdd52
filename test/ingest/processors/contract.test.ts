import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { keyIndexes, type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import { processors } from '#ingest/modules.ts';
import type { Processor, ProcessorDeps, ProcessorModule } from '#ingest/processor.ts';
import { type GraphServer, startGraph } from './graph-server.ts';
import { change, movieSchema, never, sourceOf, tableChanges } from './table-changes.ts';

const rows: Row[] = Array.from({ length: 20 }, (_, index) => [
  BigInt(index),
  `Title ${index}`,
  index % 3 === 0 ? 'draft' : 'post',
  'long',
]);
let graph: GraphServer;
beforeAll(async () => {
  graph = await startGraph();
});
afterAll(() => graph.stop());

/** Wherever an example's endpoint points to, this graph answers. */
function deps(): ProcessorDeps {
  return { ...sourceOf(movieSchema, rows).deps, fetch: (_, init) => fetch(graph.url, init) };
}

/** What every processor promises (ingest/processor.ts), run with its own example. */
describe.each(processors.map((module) => [module.id, module as unknown as ProcessorModule] as const))(
  '%s',
  (_, module) => {
    let step: Processor;
    beforeAll(() => {
      step = module.open(module.config.parse(module.example), deps());
    });
    afterAll(() => step.close());

    test('describes itself, and refuses a setting that it does not know', () => {
      expect(module).toMatchObject({
        kind: 'processor',
        title: expect.any(String),
        summary: expect.stringMatching(/\.$/),
      });
      expect(module.id).toMatch(/^[a-z]+(-[a-z]+)*$/);
      const { properties } = z.toJSONSchema(module.config, { io: 'input' });
      for (const [name, field] of Object.entries(properties ?? {})) expect(field, name).toHaveProperty('title');
      expect(module.config.safeParse({ ...module.example, tpyo: 1 }).success).toBe(false);
    });

    test('keeps the key, says what it consumes, and binds the same way again', async () => {
      const bound = await step.bind(movieSchema, never);
      expect(bound.output.key).toHaveLength(movieSchema.key.length);
      expect(keyIndexes(bound.output)).not.toContain(-1);
      const names = movieSchema.fields.map(({ name }) => name);
      for (const { path } of bound.consumes) expect(names).toContain(path.split('.')[0]);
      expect((await step.bind(movieSchema, never)).output).toEqual(bound.output);
    });

    test('hands each event on in order, or rejects it, or leaves it out; deletes and truncates always pass', async () => {
      const bound = await step.bind(movieSchema, never);
      const events = [
        ...rows.map((row) => change('r', null, row)),
        ...rows.map((row) => change('u', row, [row[0] ?? null, 'New', row[2] ?? null, UNKNOWN])),
        change('t', null, null),
        ...rows.map(([id = null]) => change('d', [id, UNKNOWN, UNKNOWN, UNKNOWN], null)),
      ];
      const input = tableChanges(structuredCloneRows(events));
      const { changes, rejected } = await bound.apply(input, never);
      expect(input.events).toEqual(events);
      expect(changes).toMatchObject({ table: input.table, schema: bound.output, transactions: input.transactions });
      expect(rejected).toEqual([]);
      expect(changes.events.filter(({ op }) => op === 'd').length).toBeGreaterThanOrEqual(rows.length);
      const truncate = changes.events.findIndex(({ op }) => op === 't');
      const [key = -1] = keyIndexes(bound.output);
      const keyOf = (row: Row | null) => row?.[key] as bigint;
      const after = changes.events.slice(truncate + 1);
      expect(after.map(({ before }) => keyOf(before))).toEqual(rows.map(([id]) => id));
      const snapshot = changes.events.filter(({ op }) => op === 'r').map((event) => keyOf(event.after));
      expect(snapshot).toEqual([...snapshot].sort((a, b) => Number(a - b)));
      for (const { before, after: now } of changes.events)
        for (const row of [before, now]) if (row !== null) expect(row).toHaveLength(bound.output.fields.length);
    });

    test('does without fields that it does not consume', async () => {
      const { consumes } = await step.bind(movieSchema, never);
      const needed = new Set([...consumes.map(({ path }) => path), ...movieSchema.key]);
      const narrow: Schema = { ...movieSchema, fields: movieSchema.fields.filter(({ name }) => needed.has(name)) };
      await expect(step.bind(narrow, never)).resolves.toBeDefined();
    });

    test('names a consumed field that is gone', async () => {
      const { consumes } = await step.bind(movieSchema, never);
      for (const { path, required } of consumes) {
        if (!required) continue;
        const without: Schema = { key: [], fields: movieSchema.fields.filter(({ name }) => name !== path) };
        await expect(step.bind(without, never)).rejects.toMatchObject({
          code: 'schema_incompatible',
          message: expect.stringContaining(`"${path}"`),
        });
      }
    });
  },
);

/** Like structuredClone, which does not know symbols. */
function structuredCloneRows<T extends { before: Row | null; after: Row | null }>(events: T[]): T[] {
  return events.map((event) => ({
    ...event,
    before: event.before === null ? null : [...event.before],
    after: event.after === null ? null : [...event.after],
  }));
}
