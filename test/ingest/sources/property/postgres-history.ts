import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { failpoints } from '#catalog/failpoint.ts';
import type { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { joinName } from '#catalog/iceberg/tables/table-name.ts';
import { Random } from '#test/engines/matrix/random.ts';
import { WorkerSetup } from '#test/faults/worker-setup.ts';
import type { MajorServer } from '#test/fixtures/postgres-majors.ts';
import { startTcpProxy } from '#test/fixtures/tcp-proxy.ts';
import { type Difference, difference } from './postgres-content.ts';
import { PostgresWork } from './postgres-work.ts';

export interface HistoryOptions {
  major: number;
  seed: number;
  /** True: with the event trigger that `check` offers. */
  withTrigger: boolean;
}

/** Only against a history that never ends. */
const patienceMs = 300_000;

/**
 * One history: random tables, the product's worker on them in a process of its own, transactions and migrations from the first
 * chunk on, the worker killed, its connections cut and the server restarted in between. Throws, with where all that was run can be
 * read, unless every table ends as it is in the source, by row.
 */
export async function runHistory(server: MajorServer, options: HistoryOptions): Promise<void> {
  const random = new Random(options.seed ^ 0x5eed);
  const database = await server.createDatabase();
  const name = `h${options.seed.toString(36)}`;
  const work = new PostgresWork({ ...options, url: database.url });
  const address = new URL(database.url);
  const proxy = await startTcpProxy(Number(address.port));
  address.port = String(proxy.port);
  const setup = await WorkerSetup.open({ TEST_CHUNK_BYTES: String(random.pick([4_000, 20_000, 200_000])) });
  const about = (what: unknown) => {
    const file = join(tmpdir(), `dailies-history-pg${options.major}-${options.seed}.sql`);
    writeFileSync(
      file,
      `${work.done.map((sql) => `${sql};`).join('\n')}\n-- worker:\n${setup.lines.join('')}\n-- ${JSON.stringify(what, null, 1)}\n`,
    );
    return `Postgres ${options.major}, DAILIES_SEED=${options.seed}, DAILIES_TRIGGER=${Number(options.withTrigger)}: ${JSON.stringify(what, null, 1)}\n${file}\n${setup.lines.slice(-6).join('')}`;
  };
  try {
    await work.create(3 + random.below(4));
    await setup.defineSource(name, { kind: 'postgres', url: address.href, tables: ['*.*'] });
    const dieAt = random.chance(0.4) ? (`${random.pick(failpoints)}:${1 + random.below(12)}` as const) : undefined;
    setup.start(dieAt);
    // Most of what happens does so beside the chunks, or the stream.
    if (dieAt === undefined && random.chance(0.8)) await setup.hasStarted();
    const rounds = 2 + random.below(3);
    for (let round = 0; round < rounds; round++) {
      const pauseMs = random.pick([0, 20, 60, 200]);
      await work.some(4 + random.below(12), random.pick([0, 0.15, 0.5]), pauseMs);
      await delay(random.below(400));
      await work.some(2 + random.below(8), random.pick([0, 0.3]), pauseMs);
      const fault = random.below(6);
      work.done.push(`-- fault ${fault}`);
      if (fault === 0) proxy.cut();
      else if (fault === 1) {
        await work.disconnect();
        await server.restart();
      } else if (fault < 4) {
        await setup.end('SIGKILL');
        setup.start();
      } else if (dieAt !== undefined && setup.hasEnded) setup.start();
    }
    await work.some(4, 0, 20);
    await work.settle();
    // New names are looked for every half a minute, and at each start.
    if (work.hasNewNames || setup.hasEnded || random.chance(0.3)) {
      await setup.end(random.pick(['SIGKILL', 'SIGTERM']));
      setup.start();
    }
    await becomesEqual(setup, name, work, about);
    let code = await setup.end('SIGTERM');
    if (code === 'SIGKILL' && dieAt !== undefined) {
      // It may have come to the place where it was to die only as it ended.
      setup.start();
      await setup.hasStarted();
      code = await setup.end('SIGTERM');
    }
    if (code !== '0') throw new Error(about({ exit: code }));
    const rejected = await setup.test.state.deadLetter.findMany({ select: { reason: true } });
    if (rejected.length > 0) throw new Error(about({ rejected }));
    rmSync(join(tmpdir(), `dailies-history-pg${options.major}-${options.seed}.sql`), { force: true });
  } finally {
    await setup[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await work.disconnect();
    await dropSlot(server, `dailies_${name}`);
  }
}

/** Slots are the server's, and one that nobody reads would keep all that later histories write. */
async function dropSlot(server: MajorServer, slot: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url('postgres') });
  await client.connect();
  const query =
    'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active';
  const isThere = async () =>
    (await client.query('SELECT FROM pg_replication_slots WHERE slot_name = $1', [slot])).rows.length > 0;
  while (await isThere()) await client.query(query, [slot]);
  await client.end();
}

async function becomesEqual(
  setup: WorkerSetup,
  namespace: string,
  work: PostgresWork,
  about: (what: unknown) => string,
): Promise<void> {
  const catalog: IcebergCatalog = setup.catalog;
  const deadline = Date.now() + patienceMs;
  let left = [...work.tables];
  for (;;) {
    const differences: Difference[] = [];
    for (const table of left) {
      const found = await difference(work, catalog, joinName([namespace, table.name]), table);
      if (found) differences.push(found);
    }
    if (differences.length === 0) return;
    left = left.filter(({ name }) => differences.some(({ table }) => table === joinName([namespace, name])));
    const { state } = setup.test;
    const failed = await Promise.all([
      state.source.findMany({ where: { state: 'failed' }, select: { name: true, lastError: true } }),
      state.pipeline.findMany({ where: { state: 'failed' }, select: { name: true, lastError: true } }),
      state.sourceTable.findMany({ where: { state: 'failed' }, select: { name: true, lastError: true } }),
    ]);
    if (failed.flat().length > 0) throw new Error(about(failed.flat()));
    if (setup.hasEnded) {
      // It may have come to the place where it was to die only now.
      const end = await setup.exited();
      if (end !== 'SIGKILL') throw new Error(about({ end }));
      setup.start();
    }
    if (Date.now() > deadline) throw new Error(about(differences));
    await delay(100);
  }
}
