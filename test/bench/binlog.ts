// Measures the reader of MySQL's and MariaDB's binary log alone, beside a raw drain of the same log. Usage: node test/bench/binlog.ts [--events 300000]
import { parseArgs } from 'node:util';
import { openBinlog } from '#ingest/sources/mysql/binlog/binlog-stream.ts';
import { startServer } from '#test/fixtures/mysql-server.ts';
import { addressOf, createFilm, drainLog, insertFilms, makeBacklog } from './mysql-work.ts';

const { values } = parseArgs({ options: { events: { type: 'string', default: '300000' } } });
const wanted = Number(values.events);
const rounds = 3;
const { signal } = new AbortController();

await using server = await startServer('MariaDB 10.11');
await using database = await server.createDatabase();

async function decode(wants: boolean): Promise<number> {
  const stream = await openBinlog(
    { flavor: 'mariadb', server: addressOf(server), serverId: 802, from: '', heartbeatMs: 200, wants: () => wants },
    signal,
  );
  let rows = 0;
  for (let isIdle = false; !isIdle; ) {
    for (const item of (await stream.read()) ?? []) {
      if (item.kind === 'rows') rows += item.rows.length;
      else if (item.kind === 'idle') isIdle = true;
    }
  }
  await stream.close();
  return rows;
}

async function measure(run: () => Promise<number>): Promise<{ cpuSeconds: number; result: number }> {
  const before = process.cpuUsage();
  const result = await run();
  const { user, system } = process.cpuUsage(before);
  return { cpuSeconds: (user + system) / 1e6, result };
}

await createFilm(database);
await insertFilms(server, database, 0, 10_000);
await makeBacklog(server, database, wanted);
const best = async (run: () => Promise<number>) => {
  const runs = [];
  for (let round = 0; round < rounds; round++) runs.push(await measure(run));
  return runs.reduce((least, one) => (one.cpuSeconds < least.cpuSeconds ? one : least));
};
const drained = await best(() => drainLog(server, 'mariadb', ''));
const decoded = await best(() => decode(true));
const passed = await best(() => decode(false));
const events = decoded.result;
console.log(
  JSON.stringify(
    {
      events,
      'log MB': Math.round(drained.result / 1e6),
      'decoded events/CPU-s': Math.round(events / decoded.cpuSeconds),
      'of a table that nobody wants, events/CPU-s': Math.round(events / passed.cpuSeconds),
      'drained events/CPU-s': Math.round(events / drained.cpuSeconds),
    },
    null,
    2,
  ),
);
