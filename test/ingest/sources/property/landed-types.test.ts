import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Principal } from '#catalog/access/principal.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import type { FieldType, Schema } from '#catalog/schemas/schema.ts';
import { serveCatalog } from '#test/catalog/iceberg/served-catalog.ts';
import { type CanonicalValue, canonicalValue } from '#test/engines/canonical.ts';
import { startReader } from '#test/engines/engine-reader.ts';
import { Random } from '#test/engines/matrix/random.ts';
import { WorkerSetup } from '#test/faults/worker-setup.ts';
import { describeWith, findEngine } from '#test/fixtures/engine.ts';
import { type MajorServer, majors, startMajor } from '#test/fixtures/postgres-majors.ts';
import { sourceRows, whenEqual } from './postgres-content.ts';
import { nameOf, type RandomTable, tableOfRow, tablesQuery } from './postgres-tables.ts';
import { randomTypes, typeDefinitions } from './postgres-types.ts';

/*
 * Every type of every version through the whole product, half of the rows by a snapshot, half by the stream: what stands in the
 * table, what PyIceberg reads there and what a file of the query's result holds is what the source has. All rows of 18; of the
 * others fewer.
 */
const seed = Number(process.env.DAILIES_SEED ?? Math.floor(Math.random() * 2 ** 31));
const ana: Principal = { email: 'ana@studio.example', roles: ['analyst'], kind: 'person' };

interface Source {
  name: string;
  client: pg.Client;
  table: RandomTable;
}

describeWith('postgres-majors', 'types of every version', (folder) => {
  const servers: MajorServer[] = [];
  const sources: Source[] = [];
  let setup: WorkerSetup;

  beforeAll(async () => {
    console.log(`landed types: DAILIES_SEED=${seed}`);
    setup = await WorkerSetup.open({ TEST_CHUNK_BYTES: '60000' });
    for (const major of majors) {
      const server = await startMajor(folder, major);
      servers.push(server);
      const database = await server.createDatabase();
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      const types = randomTypes.filter(({ since }) => (since ?? 0) <= major);
      const columns = types.map(({ sql }, index) => `c${index} ${sql}`);
      await client.query(
        `SET timezone = 'UTC'; ${typeDefinitions}; CREATE TABLE types (id int PRIMARY KEY, ${columns.join(', ')})`,
      );
      const { rows } = await client.query(tablesQuery);
      sources.push({ name: `pg${major}`, client, table: tableOfRow(rows[0], major) });
      await fill(client, 0, major === 18 ? 120 : 30);
      await setup.defineSource(`pg${major}`, { kind: 'postgres', url: database.url, tables: ['public.types'] });
    }
    setup.start();
    for (const { name, client, table } of sources) {
      await whenEqual(client, setup.catalog, `${name}.types`, table);
      await fill(client, 1000, name === 'pg18' ? 120 : 30);
    }
  }, 600_000);
  afterAll(async () => {
    await setup?.[Symbol.asyncDispose]();
    for (const { client } of sources) await client.end();
    for (const server of servers) await server[Symbol.asyncDispose]();
  });

  async function fill(client: pg.Client, from: number, count: number): Promise<void> {
    const random = new Random(seed + from);
    const columns = sources.find((source) => source.client === client)?.table.columns.slice(1) ?? [];
    const rows = Array.from({ length: count }, (_, index) => {
      const cells = columns.map(({ type }) =>
        random.chance(0.1) ? 'NULL' : `'${type.text(random, false).replaceAll("'", "''")}'`,
      );
      return `(${[from + index, ...cells].join(', ')})`;
    });
    await client.query(`INSERT INTO types VALUES ${rows.join(', ')}`);
  }

  test.each(majors)('Postgres %i: a table of Iceberg holds what the source has', async (major) => {
    const source = sourceOf(major);
    await whenEqual(source.client, setup.catalog, `${source.name}.types`, source.table);
    const { rows } = await source.client.query(`SELECT count(*)::int AS count FROM ${nameOf(source.table)}`);
    expect(rows[0].count).toBe(major === 18 ? 240 : 60);
  });

  test.skipIf(findEngine('pyiceberg') === null)('PyIceberg reads it', async () => {
    await using served = await serveCatalog(setup.catalog);
    await using reader = await startReader('pyiceberg', served);
    for (const { name, client, table } of sources) {
      await whenEqual(client, setup.catalog, `${name}.types`, table);
      const schema = await schemaOf(`${name}.types`);
      const found = await reader.read(`${name}.types`, schema);
      expectEqual(name, table, pairs(table, schema, found), await sourceRows(client, table));
    }
  });

  test('a CSV file of a query holds it', async () => {
    const resultsDir = await mkdtemp(join(tmpdir(), 'dailies-results-'));
    const service = new QueryService({ state: setup.test.state, catalog: setup.catalog, resultsDir });
    try {
      for (const { name, client, table } of sources) {
        await whenEqual(client, setup.catalog, `${name}.types`, table);
        const { id } = await service.submit({ sql: `SELECT * FROM ${name}.types`, parameters: {}, origin: 'api' }, ana);
        expect(await service.wait(id, ana)).toMatchObject({ state: 'succeeded' });
        const schema = await schemaOf(`${name}.types`);
        const cells = await csvCells(await service.resultFile(id, ana, 'csv'), schema.fields.length);
        const rows = cells.map((row) => schema.fields.map(({ type }, index) => ofText(type, row[index] ?? null)));
        expectEqual(name, table, pairs(table, schema, rows), await sourceRows(client, table));
      }
    } finally {
      await service.close();
      await rm(resultsDir, { recursive: true, force: true });
    }
  });

  function sourceOf(major: number): Source {
    const found = sources.find(({ name }) => name === `pg${major}`);
    if (found === undefined) throw new Error(`There is no Postgres ${major}.`);
    return found;
  }

  async function schemaOf(name: string): Promise<Schema> {
    const location = await setup.catalog.locate(name);
    return (await planScan(location ?? '')).schema;
  }
});

/** Of what differs a cell or two are enough to see. */
function expectEqual(name: string, table: RandomTable, found: readonly string[], wanted: readonly string[]): void {
  expect(found.length, name).toBe(wanted.length);
  const parse = (rows: readonly string[]) =>
    new Map(rows.map((row) => JSON.parse(row)).map((row) => [String(row[0][0]), row]));
  const there = parse(found);
  for (const [id, row] of parse(wanted)) {
    for (const [index, cell] of row.entries()) {
      expect(there.get(id)?.[index], `${name}, row ${id}, ${table.columns[index]?.type.sql}`).toEqual(cell);
    }
  }
}

/** Each column of the source with the text that stands beside it, as `sourceRows` has them. */
function pairs(table: RandomTable, schema: Schema, rows: readonly (readonly CanonicalValue[])[]): string[] {
  const places = table.columns.map(({ name }) =>
    [name, `${name}__text`].map((each) => schema.fields.findIndex((field) => field.name === each)),
  );
  return rows.map((row) => JSON.stringify(places.map((pair) => pair.map((at) => row[at] ?? null)))).sort();
}

/** Cells as texts; what is not there at all is NULL, what stands between quotes is not. Nothing is guessed from what random texts look like. */
async function csvCells(file: string, count: number): Promise<(string | null)[][]> {
  const columns = Array.from({ length: count }, (_, index) => `c${index}: 'VARCHAR'`).join(', ');
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(
      `SELECT * FROM read_csv(${literal(file)}, auto_detect = false, columns = {${columns}}, header = true,
        allow_quoted_nulls = false, nullstr = '', quote = '"', escape = '"', delim = ',', new_line = '\\n', parallel = false,
        max_line_size = 10000000)`,
    );
    return reader.getRows() as (string | null)[][];
  } finally {
    connection.closeSync();
  }
}

/** The exact value that a text in JSON or CSV stands for. */
function ofText(type: FieldType, text: string | null): CanonicalValue {
  if (text === null) return null;
  switch (type.kind) {
    case 'list':
      return listTexts(text).map((item) => ofText(type.element, item));
    case 'float':
      return canonicalValue(type, Math.fround(Number(text)));
    case 'double':
      return canonicalValue(type, Number(text));
    case 'decimal':
      return String(BigInt(text.replace('.', '')));
    case 'date':
      return String(Date.parse(`${text}T00:00:00Z`) / 86_400_000);
    case 'time':
    case 'timestamp':
    case 'timestamptz': {
      const [whole = '', fraction = ''] = text
        .replace(/(Z|\+00)$/, '')
        .replace(' ', 'T')
        .split('.');
      const moment = type.kind === 'time' ? `1970-01-01T${whole}Z` : `${whole}Z`;
      return String(BigInt(Date.parse(moment)) * 1000n + BigInt(fraction.padEnd(6, '0')));
    }
    default:
      return text;
  }
}

/** The items of a list in JSON; numbers as they are written, which a JSON reader would bend. */
function listTexts(text: string): (string | null)[] {
  const written = (_: string, value: unknown, context?: { source: string }) =>
    typeof value === 'number' ? context?.source : value;
  return (JSON.parse(text, written) as unknown[]).map((item) => (item === null ? null : String(item)));
}
