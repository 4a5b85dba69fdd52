import fs from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { recordPostgres } from '#test/fixtures/debezium.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { topicFolder } from '../ingest/sources/kafka/topics.ts';
import { sourceName } from '../ingest/sources/postgres/follower.ts';
import { WorkerSetup } from './worker-setup.ts';

/** A row as one text, in the database and in the warehouse. */
const row = `concat_ws('|', id, coalesce(title, '-'), coalesce(fee::text, '-'), coalesce((extract(epoch FROM at) * 1000000)::bigint::text, '-'), coalesce(z::text, '-'))`;
const landedRow = `concat_ws('|', id, coalesce(title, '-'), coalesce(fee::VARCHAR, '-'), coalesce(epoch_us("at")::VARCHAR, '-'), coalesce(z::VARCHAR, '-'))`;
const deaths = ['after-log-append:2', 'before-data-files:2', 'after-table-commit:1', 'before-ack:3'] as const;

describeWith('debezium', "topics of Debezium's engine, landed by a worker", () => {
  test('that is killed while they grow, and the table is altered: the tables are equal, row by row', async () => {
    await using setup = await WorkerSetup.open();
    using held = topicFolder();
    const folder = path.join(held.path, 'topics');
    const { source } = setup;
    await source.query(`
      CREATE TABLE movie (id int PRIMARY KEY, title text, fee numeric(12, 2), at timestamptz);
      INSERT INTO movie SELECT i, 'movie ' || i, i / 7.0, '2024-01-01Z'::timestamptz + i * interval '1.000001 s' FROM generate_series(1, 20000) i;
      CREATE TABLE entry (a int, b text);
      ALTER TABLE entry REPLICA IDENTITY FULL;
      INSERT INTO entry SELECT i % 10, 'x' FROM generate_series(1, 200) i`);
    await using recording = await recordPostgres(source.url, sourceName(), {
      folder,
      format: 'json-schemas',
      properties: { 'skipped.operations': 'none', 'heartbeat.interval.ms': '500' },
    });
    await recording.until(() =>
      ['movie', 'entry'].every((table) => fs.existsSync(path.join(folder, `pf.public.${table}-0.ndjson`))),
    );
    await setup.defineSource('films', { kind: 'kafka', url: `file://${folder}`, tables: ['public.*'] });
    const change = async (round: number) => {
      for (let step = 0; step < 5; step++) {
        const at = round * 5 + step;
        await source.query('UPDATE movie SET title = $1 WHERE id % 50 = $2', [`changed ${at}`, at % 50]);
        await source.query('DELETE FROM movie WHERE id % 101 = $1', [at]);
        await source.query('INSERT INTO movie (id, title) VALUES ($1, $2)', [30_000 + at, `new ${at}`]);
        await source.query('UPDATE movie SET id = id + 100000 WHERE id = $1', [10_000 + at * 3]);
        await source.query('INSERT INTO entry VALUES ($1, $2)', [at, 'y']);
        await source.query('DELETE FROM entry WHERE ctid = (SELECT min(ctid) FROM entry)');
      }
    };
    for (const [round, death] of deaths.entries()) {
      setup.start(death);
      await change(round);
      expect(await setup.exited(), setup.lines.slice(-5).join('')).toBe('SIGKILL');
    }
    await source.query('ALTER TABLE movie ADD z int');
    await source.query('UPDATE movie SET z = id WHERE id % 2 = 0');
    setup.start();
    await setup.hasStarted();
    await change(5);
    expect(await setup.end('SIGKILL')).toBe('SIGKILL');
    setup.start();
    await change(6);
    await setup.becomesEqual('films.movie', `SELECT ${row} FROM movie`, landedRow);
    await setup.becomesEqual('films.entry', `SELECT a || ' ' || b FROM entry`, `a || ' ' || b`);
    // One record that nobody can read sets its table aside; the other goes on.
    fs.appendFileSync(path.join(folder, 'pf.public.entry-0.ndjson'), '{"offset": 99999999, "payload": "broken"}\n');
    await vi.waitFor(
      async () => {
        const table = await setup.test.state.sourceTable.findFirst({ where: { name: 'public.entry' } });
        expect(table).toMatchObject({
          state: 'failed',
          lastError: {
            code: 'value_unsupported',
            details: { topic: 'pf.public.entry', partition: 0, offset: 99999999 },
          },
        });
      },
      { timeout: 120_000, interval: 100 },
    );
    await source.query(`UPDATE movie SET title = 'after' WHERE id % 3 = 0`);
    await setup.becomesEqual('films.movie', `SELECT ${row} FROM movie`, landedRow);
  }, 1_800_000);
});
