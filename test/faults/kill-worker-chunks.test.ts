import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Failpoint } from '#catalog/failpoint.ts';
import { connect, rowsOf } from '#ingest/sources/postgres/connection.ts';
import { WorkerSetup } from './worker-setup.ts';

/*
 * The worker dies again and again while a table of several chunks is snapshotted and changed. What a chunk has brought is
 * not read again, and the table ends as it is in the source.
 */
const rows = 45_000;
/** At the first one the snapshot's begin may not be durable yet; from the second on it is. */
const deaths: readonly `${Failpoint}:${number}`[] = [
  'before-log-append:4',
  'after-chunk-append:2',
  'after-chunk-append:3',
  'after-ack:14',
];

let setup: WorkerSetup;

beforeAll(async () => {
  setup = await WorkerSetup.open({ TEST_CHUNK_BYTES: String(2 << 20) });
  await setup.source.query(`
    CREATE TABLE large (id int PRIMARY KEY, n int NOT NULL, pad text, long text);
    ALTER TABLE large ALTER long SET STORAGE EXTERNAL;
    INSERT INTO large SELECT i, 0, repeat('x', 1600), CASE WHEN i % 100 = 0 THEN repeat('long', 1000) END FROM generate_series(1, ${rows}) i;
    ANALYZE large`);
  await setup.define(['public.large'], {
    all: { from: ['production.public.large'], steps: [], to: [{ kind: 'iceberg', table: 'production.large' }] },
  });
});
afterEach(() => setup.end('SIGKILL'));
afterAll(() => setup?.[Symbol.asyncDispose]());

async function generation(): Promise<number> {
  return (await setup.test.state.sourceTable.findFirstOrThrow({ where: { name: 'public.large' } })).generation;
}

async function work(isDone: () => boolean): Promise<void> {
  const client = await connect(setup.source.url, 'query', new AbortController().signal);
  for (let turn = 0; !isDone(); turn++) {
    const id = 1 + ((turn * 7919) % rows);
    await rowsOf(
      client,
      `BEGIN; UPDATE large SET n = n + 1 WHERE id % 100 = 0 AND id BETWEEN ${id} AND ${id + 500};
       DELETE FROM large WHERE id = ${id}; INSERT INTO large VALUES (${rows * 2 + turn}, 1, 'new', NULL);
       UPDATE large SET id = -id WHERE id IN (${id + 1}, ${turn % 3 === 0 ? Math.ceil(id / 100) * 100 : 0}); COMMIT`,
    );
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await client.end();
}

test('killed within a snapshot of several chunks, nothing is lost, doubled or read again', async () => {
  let isDone = false;
  const busy = work(() => isDone);
  const begun: number[] = [];
  try {
    for (const death of deaths) {
      setup.start(death);
      expect(await setup.exited(), `${death}\n${setup.lines.join('')}`).toBe('SIGKILL');
      begun.push(await generation());
    }
    setup.start();
    await setup.hasStarted();
  } finally {
    isDone = true;
    await busy;
  }
  const columns = 'id, n, coalesce(length(pad), -1), coalesce(length(long), -1)';
  await setup.becomesEqual(
    'production.large',
    `SELECT concat_ws('|', ${columns}) FROM large`,
    `concat_ws('|', ${columns})`,
  );
  expect(await generation()).toBe(begun[1]);
  expect(await setup.test.state.deadLetter.count()).toBe(0);
  expect(await setup.end('SIGTERM')).toBe('0');
}, 1_800_000);
