import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { Intake } from '#ingest/intake.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { startWorker } from '#ingest/pipeline/worker.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';
import { createDatabase, createState } from '#test/fixtures/postgres.ts';
import { createTargets, postgresSink } from './postgres-sink.ts';

const waiting = { timeout: 120_000, interval: 50 };

test('a table whose rows cannot be read is set aside with the reason, and the others go on; mended, it comes whole', async () => {
  await using database = await createDatabase();
  await using targets = await createDatabase();
  await using fixture = await createState();
  const { state, url } = fixture;
  const root = await mkdtemp(join(tmpdir(), 'broken-'));
  await createTargets(targets.url);
  // A value that the server itself cannot print any more, as in a damaged page.
  await database.query(`
    CREATE TABLE whole (id int PRIMARY KEY);
    INSERT INTO whole SELECT generate_series(1, 50);
    CREATE TYPE mood AS ENUM ('fine', 'lost');
    CREATE TABLE broken (id int PRIMARY KEY, mood mood);
    INSERT INTO broken SELECT i, CASE i WHEN 30 THEN 'lost' ELSE 'fine' END::mood FROM generate_series(1, 50) i;
    SET allow_system_table_mods = on;
    DELETE FROM pg_enum WHERE enumlabel = 'lost'`);
  const log = new EmbeddedLog({ path: root });
  const worker = await startWorker({
    state,
    databaseUrl: url,
    log,
    intake: new Intake(),
    modules: { sources: [postgres], processors: [], sinks: [postgresSink] },
    sinkDeps: { targetUrl: targets.url, faults: { failCommit: null, loseAnswer: false } },
    resolveSecrets: async (spec) => spec,
    now: () => new Date(),
    report: () => {},
  });
  try {
    const name = `s${database.name}`;
    const spec = { kind: 'postgres', url: database.url, tables: ['public.*'] };
    await state.source.create({ data: { name, kind: 'postgres', spec } });
    const to = [{ kind: 'postgres-table', table: 'w.{table}' }];
    await state.pipeline.create({ data: { name: 'all', spec: { from: [`${name}.public.*`], to } } });
    await state.$executeRaw`SELECT pg_notify('dailies_changed', '')`;
    const rows = async (target: string) =>
      (await targets.query('SELECT row FROM target WHERE target = $1', [target])).rows.length;
    await vi.waitFor(async () => {
      const broken = await state.sourceTable.findFirst({ where: { name: 'public.broken' } });
      expect(broken).toMatchObject({ state: 'failed', lastError: { details: { table: 'public.broken' } } });
      expect(JSON.stringify(broken?.lastError)).toContain('invalid internal value for enum');
    }, waiting);
    await vi.waitFor(async () => expect(await rows('w.whole')).toBe(50), waiting);
    await database.query('INSERT INTO whole VALUES (51)');
    await vi.waitFor(async () => expect(await rows('w.whole')).toBe(51), waiting);
    await database.query(`UPDATE broken SET mood = 'fine' WHERE id = 30`);
    // A definition that is applied anew has the source look at all of its tables.
    await state.source.update({ where: { name }, data: { spec: { ...spec, tables: ['public.*', 'public.broken'] } } });
    await state.$executeRaw`SELECT pg_notify('dailies_changed', '')`;
    await vi.waitFor(async () => expect(await rows('w.broken')).toBe(50), waiting);
    expect(await rows('w.whole')).toBe(51);
  } finally {
    await worker.close();
    await log.close();
    await rm(root, { recursive: true, force: true });
  }
}, 300_000);
