import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { BatchItem } from '#ingest/event.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { readTable, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { createDatabase, createState, type TestDatabase } from '#test/fixtures/postgres.ts';

const waiting = { timeout: 240_000, interval: 100 };
const rows = 6_000;
/** Where the process dies, run after run, while the snapshot and changes are under way. */
const points = [
  'after-log-append:4',
  'after-data-files:2',
  'before-log-append:9',
  'after-table-commit:2',
  'before-ack:7',
  'after-index-update:1',
  'after-log-append:12',
];

const hash = (id: string) => `(SELECT string_agg(md5((${id} * 100 + k)::text), '') FROM generate_series(1, 90) k)`;

/** Changes of all kinds, also to rows whose long text is left out of the stream. */
async function work(database: TestDatabase, isDone: () => boolean): Promise<void> {
  for (let turn = 1; !isDone(); turn++) {
    const id = (turn * 7919) % rows;
    await database.query(`UPDATE film SET title = 'turn ${turn}' WHERE id = ${id}`);
    if (turn % 3 === 0) await database.query(`DELETE FROM film WHERE id = ${(id * 31) % rows}`);
    if (turn % 4 === 0) await database.query(`UPDATE film SET id = id + ${rows * 2} WHERE id = ${(id * 17) % rows}`);
    if (turn % 5 === 0) {
      await database.query(
        `INSERT INTO film VALUES (${rows + turn}, 'new ${turn}', ${hash(String(turn))}) ON CONFLICT DO NOTHING`,
      );
    }
    if (turn === 40) await database.query('ALTER TABLE film ADD COLUMN extra text');
    if (turn % 50 === 0) await database.query(`INSERT INTO other SELECT ${turn} ON CONFLICT DO NOTHING`);
    await delay(5);
  }
}

test('a worker killed anywhere within a chunked snapshot goes on after its last durable chunk, and all is there once', async () => {
  await using database = await createDatabase();
  await using test = await createState();
  const root = await mkdtemp(join(tmpdir(), 'chunked-'));
  await database.query(`
    CREATE TABLE film (id int PRIMARY KEY, title text, plot text);
    ALTER TABLE film ALTER plot SET STORAGE EXTERNAL;
    INSERT INTO film SELECT i, 'film ' || i, ${hash('i')} FROM generate_series(0, ${rows - 1}) i;
    CREATE TABLE other (id int PRIMARY KEY);
    INSERT INTO other SELECT generate_series(1, 20);`);
  const { state } = test;
  const source = `s${database.name.replaceAll(/\W/g, '')}`;
  await state.source.create({
    data: { name: source, kind: 'postgres', spec: { kind: 'postgres', url: database.url, tables: ['public.*'] } },
  });
  await state.pipeline.create({
    data: { name: 'all', spec: { from: [`${source}.public.*`], to: [{ kind: 'iceberg', table: 'w.{table}' }] } },
  });
  const start = (failpoint: string): ChildProcess =>
    spawn(process.execPath, [join(import.meta.dirname, 'chunked-process.ts'), test.url, root, '200000'], {
      env: { ...process.env, DAILIES_FAILPOINT: failpoint },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  let isDone = false;
  let last: ChildProcess | null = null;
  const busy = work(database, () => isDone);
  try {
    for (const failpoint of points) {
      const child = start(failpoint);
      const [, signal] = await once(child, 'exit');
      expect(signal, failpoint).toBe('SIGKILL');
    }
    const film = await state.sourceTable.findFirst({ where: { name: 'public.film' } });
    // All of it happened while the snapshot was under way, so that nobody has seen the table yet.
    expect(film).toMatchObject({ state: 'snapshotting' });
    expect(await state.dataTable.count({ where: { name: 'w.film' } })).toBe(0);
    last = start('');
    const catalog = new IcebergCatalog(state, join(root, 'warehouse'));
    await vi.waitFor(async () => {
      expect(await state.sourceTable.findFirst({ where: { name: 'public.film' } })).toMatchObject({ state: 'running' });
      expect(await catalog.locate('w.film')).not.toBeNull();
    }, waiting);
    isDone = true;
    await busy;
    const truth = async (sql: string) => (await database.query(sql)).rows.map((row) => Object.values(row) as Row);
    const films = sorted(await truth('SELECT id, title, plot, extra FROM film'));
    await vi.waitFor(async () => expect(sorted(await readTable(catalog, 'w.film'))).toEqual(films), waiting);
    const others = sorted(await truth('SELECT id FROM other'));
    await vi.waitFor(async () => expect(sorted(await readTable(catalog, 'w.other'))).toEqual(others), waiting);
    const ended = once(last, 'exit');
    last.kill('SIGTERM');
    await ended;

    // No chunk that was durable has been read again.
    const log = new EmbeddedLog({ path: join(root, 'log') });
    let chunks: Extract<BatchItem, { kind: 'snapshot-chunk' }>[] = [];
    const { next } = await log.extent(source);
    for await (const record of log.read(source, 0, new AbortController().signal)) {
      for (const item of record.batch(new Set([`${source}.public.film`])).items) {
        if (item.kind === 'snapshot-chunk') chunks.push(item);
        // One begins anew where it died before its first chunk, or where its table was altered.
        if (item.kind === 'snapshot-begin') chunks = [];
      }
      if (record.offset === next - 1) break;
    }
    await log.close();
    expect(chunks.length).toBeGreaterThan(points.length);
    expect(new Set(chunks.map(({ cursor }) => cursor)).size).toBe(chunks.length);
    const counts = chunks.map((chunk) => chunk.rows);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
  } finally {
    isDone = true;
    last?.kill('SIGKILL');
    await busy;
    await rm(root, { recursive: true, force: true });
  }
}, 900_000);
