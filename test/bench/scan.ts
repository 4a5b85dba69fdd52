// Queries of a table after many updates, before any compaction, written and planned as the product does it, against a plain
// Parquet copy of the same rows, compressed alike; both in a DuckDB of this process. Prints one JSON document. Usage: node test/bench/scan.ts [--rows 10000000] [--updates 1000000] [--format 2]
// CPU milliseconds, which a busy machine disturbs less, and wall milliseconds, each the best of the rounds.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { copyToFile } from '#catalog/iceberg/files/data-file-writer.ts';
import { writeDeletionVector } from '#catalog/iceberg/files/deletion-vector.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { PositionSet } from '#catalog/iceberg/files/position-set.ts';
import type { DataFile } from '#catalog/iceberg/manifests/manifest.ts';
import { schemaOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { scanColumns } from '#catalog/iceberg/read/scan-columns.ts';
import { checkStatement } from '#catalog/query/check-statement.ts';
import { placeCount } from '#catalog/query/place-reads.ts';
import { planTables } from '#catalog/query/query-plan.ts';
import { column, ForeignTable } from '../catalog/iceberg/read/foreign-table.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    updates: { type: 'string', default: '1000000' },
    format: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
  },
});
const rows = Number(values.rows);
const updates = Number(values.updates);
const isV3 = values.format === '3';
const threads = 2;
const perFile = Math.min(rows, 2_000_000);
const perCommit = Math.min(updates, 10_000);
/** As the writer guesses what a row takes in memory. */
const aboutRowBytes = 200;

await using table = await ForeignTable.create(
  [
    column(1, 'id', 'long'),
    column(2, 'title', 'string'),
    column(3, 'budget', 'long'),
    column(4, 'status', 'string'),
    column(5, 'released', 'date'),
    column(6, 'rating', 'double'),
  ],
  { formatVersion: isV3 ? 3 : 2, key: [1] },
);
const iceberg = schemaOf(table.metadata);
const { schema } = scanColumns(iceberg, {});
const writing = await connectDuckdb();
const dataFile = (sql: string, size: { bytes?: number } = {}) =>
  copyToFile(writing, sql, { schema, iceberg }, `file://${table.folder}/data/${randomUUID()}.parquet`, size);
const select = (source: string) =>
  `SELECT i AS id, 'Title ' || i AS title, (i * 7919) % 100000 AS budget, ['a', 'b', 'c', 'draft'][(1 + hash(i) % 4)::BIGINT] AS status, DATE '2000-01-01' + (i % 9000)::INTEGER AS released, i * 0.37::DOUBLE AS rating FROM ${source}`;

const base: DataFile[] = [];
for (let start = 0; start < rows; start += perFile) {
  base.push(await dataFile(select(`range(${start}, ${Math.min(rows, start + perFile)}) AS rows(i)`)));
}
// Every n-th row is updated: spread over all files, as by a hash of the key.
const step = Math.floor(rows / updates);
const fresh: DataFile[] = [];
for (let start = 0; start < updates; start += perCommit) {
  const ids = `(SELECT ((range * 7919) % ${updates}) * ${step} AS i FROM range(${start}, ${start + perCommit}))`;
  fresh.push(await dataFile(select(ids), { bytes: perCommit * aboutRowBytes }));
}
writing.closeSync();
const deletes: DataFile[] = [];
for (const [index, file] of base.entries()) {
  const first = Math.ceil((index * perFile) / step) * step - index * perFile;
  const deleted = new PositionSet(file.recordCount);
  for (let row = first; row < file.recordCount; row += step) deleted.add(row);
  deletes.push(
    isV3
      ? await writeDeletionVector(file, deleted, `file://${table.folder}/data/${randomUUID()}.puffin`)
      : await table.file(
          `SELECT ${literal(file.location)} AS file_path, unnest(range(${first}, ${file.recordCount}, ${step})) AS pos`,
          '{file_path: 2147483546, pos: 2147483545}',
          { content: 'position-deletes', referencedDataFile: file.location },
        ),
  );
}
await table.commit(base);
await table.commit([...fresh, ...deletes]);

const instance = await DuckDBInstance.create(':memory:', { threads: String(threads) });
const connection = await instance.connect();
await connection.run('SET parquet_metadata_cache = true');
await connection.run('CREATE SCHEMA production');

/** Sums of floating-point numbers differ by the order in which they are added. */
function isSame(one: unknown, other: unknown): boolean {
  if (typeof one === 'number' && typeof other === 'number') return Math.abs(one - other) <= Math.abs(one) * 1e-6;
  if (!Array.isArray(one) || !Array.isArray(other)) return one === other;
  return one.length === other.length && one.every((value, index) => isSame(value, other[index]));
}

/** The statement as the product runs it, and how long it took to plan. */
async function plan(sql: string): Promise<{ sql: string; planMs: number }> {
  const plannedAt = performance.now();
  const reader = await connection.runAndReadAll(
    'SELECT json_serialize_sql($1::VARCHAR, skip_default := true, skip_null := true, skip_empty := true)',
    [sql],
  );
  const checked = checkStatement(sql, String(reader.getRows()[0]?.[0]), Date.now());
  const planned = await planTables(
    { locate: async () => table.metadataLocation, list: async () => ['production.movie'] },
    { tables: checked.tables, parameters: [] },
    {
      asOf: null,
      parameters: [],
      masks: { path: `${table.folder}/masks`, threads },
      localFiles: { below: `file://${table.folder}` },
    },
  );
  const planMs = performance.now() - plannedAt;
  if (planned.count !== null) return { sql: placeCount(planned.count, checked.count).sql, planMs };
  await connection.run(`CREATE OR REPLACE VIEW production.movie AS ${planned.tables[0]}`);
  return { sql, planMs };
}

const copy = `${table.folder}/copy.parquet`;
await plan('SELECT * FROM production.movie');
await connection.run(`COPY (FROM production.movie) TO ${literal(copy)} (FORMAT parquet, COMPRESSION zstd)`);
await connection.run(`CREATE VIEW production.plain AS FROM read_parquet(${literal(copy)})`);

const queries: Record<string, (from: string) => string> = {
  count: (from) => `SELECT count(*) FROM ${from}`,
  'sum of one column': (from) => `SELECT sum(budget) FROM ${from}`,
  'group by': (from) => `SELECT status, count(*), avg(rating), max(released) FROM ${from} GROUP BY ALL`,
  'all columns': (from) =>
    `SELECT max(title), sum(id), sum(budget), max(status), max(released), sum(rating) FROM ${from}`,
  'one row': (from) => `SELECT * FROM ${from} WHERE id = ${Math.floor(rows / 3)}`,
  'a quarter of the rows': (from) => `SELECT sum(budget) FROM ${from} WHERE status = 'b'`,
  'all rows to Parquet': (from) => `SELECT * FROM ${from}`,
};
const figures: Record<string, object> = {};
for (const [name, sqlOf] of Object.entries(queries)) {
  const isCopied = name === 'all rows to Parquet';
  const { sql, planMs } = await plan(sqlOf('production.movie'));
  const statements = { plain: sqlOf('production.plain'), scanned: sql };
  const best = { plain: { cpuMs: Infinity, wallMs: Infinity }, scanned: { cpuMs: Infinity, wallMs: Infinity } };
  const answers = new Map<string, unknown>();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const from of ['plain', 'scanned'] as const) {
      const result = `${table.folder}/result.parquet`;
      const statement = isCopied
        ? `COPY (${statements[from]}) TO ${literal(result)} (FORMAT parquet)`
        : `FROM (${statements[from]}) ORDER BY ALL`;
      const cpu = process.cpuUsage();
      const at = performance.now();
      const reader = await connection.runAndReadAll(statement);
      const { user, system } = process.cpuUsage(cpu);
      best[from].cpuMs = Math.min(best[from].cpuMs, (user + system) / 1000);
      best[from].wallMs = Math.min(best[from].wallMs, performance.now() - at);
      answers.set(from, reader.getRowsJson());
    }
  }
  const { plain, scanned } = best;
  figures[name] = {
    'plan ms': Math.round(planMs),
    'plain cpu ms': Number(plain.cpuMs.toFixed(1)),
    'scanned cpu ms': Number(scanned.cpuMs.toFixed(1)),
    'times cpu': Number((scanned.cpuMs / plain.cpuMs).toFixed(2)),
    'times wall': Number((scanned.wallMs / plain.wallMs).toFixed(2)),
  };
  const [expected, found] = [answers.get('plain'), answers.get('scanned')];
  if (!isSame(expected, found)) {
    throw new Error(`${name}: ${JSON.stringify(found)} of the table, ${JSON.stringify(expected)} of the plain copy.`);
  }
}
connection.closeSync();
console.log(
  JSON.stringify(
    {
      rows,
      updates,
      format: values.format,
      files: base.length + fresh.length,
      ...figures,
    },
    null,
    2,
  ),
);
