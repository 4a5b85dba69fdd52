import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FieldType } from '#catalog/schemas/schema.ts';
import { serveCatalog } from '#test/catalog/iceberg/served-catalog.ts';
import { createWarehouse, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { type Engine, findEngine } from '#test/fixtures/engine.ts';
import { canonicalRow, sortedTexts } from './canonical.ts';
import { type EngineReader, startReader } from './engine-reader.ts';
import { probesOf } from './matrix/probes.ts';
import { finalState, type MatrixTable, matrixTables } from './matrix/tables.ts';
import { writeMatrix } from './matrix/write-matrix.ts';

/** What a table asks of its reader beyond the ordinary: names of types, of formats and of what they hold. */
type Feature =
  | FieldType['kind']
  | 'v3'
  | 'deletion-vectors'
  | 'optional-collection-of-structs'
  | 'partition-fixed'
  | 'nested-evolution'
  | 'conditions'
  | 'conditions-on-partitions';

/** What an engine cannot read, and why: such tables are skipped by name. */
type Unreadable = Partial<Record<Feature, string>>;

/** Only against a run that never ends: engines start slowly on a busy machine. */
const patienceMs = 900_000;

const ours: Unreadable = { timestamptz_ns: 'DuckDB reads nanoseconds with a zone as microseconds' };

const seed = Number(process.env.MATRIX_SEED ?? 20_261_125);
/** For a look at a few tables: a pattern of their names. */
const wanted = new RegExp(process.env.MATRIX_TABLES ?? '');

/** The matrix, written once by our sink, equal to its source through our own planner and through each of the engines. */
export function describeMatrix(engines: Partial<Record<Engine, Unreadable>>): void {
  const tables = matrixTables(seed).filter((table) => wanted.test(table.name));
  let warehouse: TestWarehouse;
  let served: Awaited<ReturnType<typeof serveCatalog>>;
  beforeAll(async () => {
    console.log(`matrix of ${tables.length} tables, MATRIX_SEED=${seed}`);
    warehouse = await createWarehouse();
    await writeMatrix(warehouse, tables);
    served = await serveCatalog(warehouse.catalog);
  }, patienceMs);
  afterAll(async () => {
    await served?.[Symbol.asyncDispose]();
    await warehouse?.[Symbol.asyncDispose]();
  });

  describe('our own planner reads', () => {
    testEach(tables, ours, async (table) => {
      const { schema } = finalState(table);
      const found = await warehouse.read(`matrix.${table.name}`);
      expect(sortedTexts(found.map((row) => canonicalRow(schema, row)))).toEqual(expectedTexts(table));
    });
  });

  for (const [engine, unreadable] of Object.entries(engines) as [Engine, Unreadable][]) {
    if (findEngine(engine) === null) {
      describe.skip(`${engine} reads (needs ${engine}: test/engines/install ${engine})`, () => {
        test.each(tables)('$name', () => {});
      });
      continue;
    }
    describe(`${engine} reads`, () => {
      let reader: EngineReader;
      beforeAll(async () => {
        reader = await startReader(engine, served);
      }, patienceMs);
      afterAll(() => reader?.[Symbol.asyncDispose]());
      testEach(tables, unreadable, async (table) => {
        const { schema } = finalState(table);
        const found = await reader.read(`matrix.${table.name}`, schema);
        expect(sortedTexts(found)).toEqual(expectedTexts(table));
      });
      describe('by conditions on columns', () => {
        const reason = (table: MatrixTable) =>
          unreadable.conditions ?? (table.partition.length > 0 ? unreadable['conditions-on-partitions'] : undefined);
        const skipped = tables.filter((table) => reason(table) !== undefined);
        for (const table of skipped) test.skip(`${table.name} (${reason(table)})`);
        testEach(
          tables.filter((table) => !skipped.includes(table)),
          unreadable,
          async (table) => {
            const { schema } = finalState(table);
            for (const { where, rows } of probesOf(table.name, finalState(table))) {
              const found = await reader.read(`matrix.${table.name}`, schema, where);
              const expected = rows.map((row) => canonicalRow(schema, row));
              expect(sortedTexts(found), JSON.stringify(where)).toEqual(sortedTexts(expected));
            }
          },
        );
      });
    });
  }
}

function testEach(
  tables: readonly MatrixTable[],
  unreadable: Unreadable,
  body: (table: MatrixTable) => Promise<void>,
): void {
  for (const table of tables) {
    const reason = featuresOf(table)
      .map((feature) => unreadable[feature])
      .find((found) => found !== undefined);
    if (reason === undefined) test(table.name, () => body(table), patienceMs);
    else test.skip(`${table.name} (${reason})`);
  }
}

function expectedTexts(table: MatrixTable): string[] {
  const { schema, rows } = finalState(table);
  return sortedTexts(rows.map((row) => canonicalRow(schema, row)));
}

function featuresOf(table: MatrixTable): Feature[] {
  const features = new Set<Feature>();
  const visit = (type: FieldType, isRequired: boolean) => {
    features.add(type.kind);
    if (type.kind === 'struct') for (const field of type.fields) visit(field.type, field.required);
    if (type.kind === 'list') {
      if (type.element.kind === 'struct' && !isRequired) features.add('optional-collection-of-structs');
      visit(type.element, false);
    }
    if (type.kind === 'map') {
      if (type.value.kind === 'struct' && !isRequired) features.add('optional-collection-of-structs');
      visit(type.key, true);
      visit(type.value, false);
    }
  };
  for (const step of table.steps) {
    if (step.kind !== 'partition') for (const field of step.schema.fields) visit(field.type, field.required);
  }
  if (table.name.startsWith('evolution')) features.add('nested-evolution');
  if (table.partition.includes('fixed_value')) features.add('partition-fixed');
  if (table.formatVersion === 3) {
    features.add('v3');
    if (table.steps.some((step) => step.kind === 'changes')) features.add('deletion-vectors');
  }
  return [...features];
}
