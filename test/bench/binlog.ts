// Measures the reader of MySQL's and MariaDB's binary log alone, beside a raw drain of the same log. Usage: node test/bench/binlog.ts [--events 300000]
import { parseArgs } from 'node:util';
import { openBinlog } from '#ingest/sources/mysql/binlog/binlog-stream.ts';
import { beginDump } from '#ingest/sources/mysql/binlog/dump.ts';
import { eventTypes } from '#ingest/sources/mysql/binlog/event-types.ts';
import { startMariadb } from '#test/fixtures/mariadb.ts';

const { values } = parseArgs({ options: { events: { type: 'string', default: '300000' } } });
const wanted = Number(values.events);
const rounds = 3;
const { signal } = new AbortController();

await using server = await startMariadb('10.11');
await using database = await server.createDatabase();
const address = { host: '127.0.0.1', port: server.port, user: 'root', password: '', tls: null };

/** Transactions of about 1,000 changes, 80 % updates, the rest inserts and deletes. */
async function makeBacklog(): Promise<void> {
  await database.query(`CREATE TABLE film (id bigint PRIMARY KEY, title varchar(200), status enum('draft', 'out'),
    budget decimal(12, 2), released date, rating double, votes int unsigned, is_new tinyint(1), code char(36),
    note text, updated_at timestamp(6), version datetime(3))`);
  const insert = (from: number, count: number) =>
    database.query(
      `INSERT INTO film SELECT ${from} + seq, CONCAT('Title ', seq), 'draft', seq / 7, '2026-01-01', seq / 3, seq, 1, UUID(),
        NULL, NOW(6), NOW(3) FROM seq_1_to_${count}`,
    );
  await insert(0, 10_000);
  let made = 10_000;
  for (let turn = 0; made < wanted; turn++) {
    await database.query('START TRANSACTION');
    await database.query(
      `UPDATE film SET votes = votes + 1, updated_at = NOW(6) WHERE id BETWEEN ${(turn * 800) % 9_000} AND ${((turn * 800) % 9_000) + 799}`,
    );
    await insert(100_000 + turn * 100, 100);
    if (turn > 0)
      await database.query(`DELETE FROM film WHERE id > ${99_900 + turn * 100} AND id <= ${100_000 + turn * 100}`);
    await database.query('COMMIT');
    made += turn > 0 ? 1_000 : 900;
  }
}

/** Takes packets off the socket and looks at nothing but the event's type: what no reader on this protocol can beat. */
async function drain(): Promise<number> {
  const options = { flavor: 'mariadb' as const, server: address, serverId: 801, from: '', heartbeatMs: 200 };
  const { socket } = await beginDump(options, signal);
  let bytes = 0;
  for (;;) {
    const payload = await socket.next(10_000);
    bytes += payload.length;
    if (payload[5] === eventTypes.heartbeat) break;
  }
  socket.close();
  return bytes;
}

async function decode(wants: boolean): Promise<number> {
  const stream = await openBinlog(
    { flavor: 'mariadb', server: address, serverId: 802, from: '', heartbeatMs: 200, wants: () => wants },
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

await makeBacklog();
const best = async (run: () => Promise<number>) => {
  const runs = [];
  for (let round = 0; round < rounds; round++) runs.push(await measure(run));
  return runs.reduce((least, one) => (one.cpuSeconds < least.cpuSeconds ? one : least));
};
const drained = await best(drain);
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
