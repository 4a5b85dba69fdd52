import type { Flavor } from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { beginDump } from '#ingest/sources/mysql/binlog/dump.ts';
import { eventTypes } from '#ingest/sources/mysql/binlog/event-types.ts';
import { connectServer, type ServerAddress } from '#ingest/sources/mysql/binlog/server-connection.ts';
import type { TestServer, TestServerDatabase } from '#test/fixtures/mysql-server.ts';

const { signal } = new AbortController();

export function addressOf(server: TestServer): ServerAddress {
  return { host: '127.0.0.1', port: server.port, user: 'root', password: '', tls: null };
}

/** A table of twelve columns, as others of these benchmarks have it. */
export async function createFilm(database: TestServerDatabase): Promise<void> {
  await database.query(`CREATE TABLE film (id bigint PRIMARY KEY, title varchar(200), status enum('draft', 'out'),
    budget decimal(12, 2), released date, rating double, votes int unsigned, is_new tinyint(1), code char(36),
    note text, updated_at timestamp(6), version datetime(3))`);
}

/** Rows `from` + 1 to `from` + `count`. */
export async function insertFilms(
  server: TestServer,
  database: TestServerDatabase,
  from: number,
  count: number,
): Promise<void> {
  await database.query(
    `INSERT INTO film SELECT ${from} + seq, CONCAT('Title ', seq), 'draft', seq / 7, '2026-01-01', seq / 3, seq, 1, UUID(),
      NULL, NOW(6), NOW(3) FROM ${server.numbers(count)}`,
  );
}

/** Transactions of about 1,000 changes, 80 % updates, the rest inserts and deletes, of a table that holds films 1 to 10,000. */
export async function makeBacklog(server: TestServer, database: TestServerDatabase, wanted: number): Promise<void> {
  for (let turn = 0, made = 0; made < wanted; turn++) {
    await database.query('START TRANSACTION');
    await database.query(
      `UPDATE film SET votes = votes + 1, updated_at = NOW(6) WHERE id BETWEEN ${(turn * 800) % 9_000} AND ${((turn * 800) % 9_000) + 799}`,
    );
    const first = 10_000_000 + turn * 100;
    await insertFilms(server, database, first, 100);
    if (turn > 0) await database.query(`DELETE FROM film WHERE id > ${first - 100} AND id <= ${first}`);
    await database.query('COMMIT');
    made += turn > 0 ? 1_000 : 900;
  }
}

/** Takes the log's packets off the socket and looks at nothing but the event's type: what no reader can beat. Gives its bytes. */
export async function drainLog(server: TestServer, flavor: Flavor, from: string): Promise<number> {
  const options = { flavor, server: addressOf(server), serverId: 801, from, heartbeatMs: 200 };
  const [end] = await server.query(flavor === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS');
  const { socket } = await beginDump(options, signal);
  let bytes = 0;
  for (;;) {
    const payload = await socket.next(60_000);
    bytes += payload.length;
    // MySQL also sends one while it looks for the place to begin at.
    if (payload[5] === eventTypes.heartbeat && payload.readUInt32LE(14) >= Number(end?.Position)) break;
  }
  socket.close();
  return bytes;
}

/** Takes a SELECT's packets off the socket and looks at none but the last. Gives its rows. */
export async function drainSelect(server: TestServer, sql: string): Promise<number> {
  const { socket } = await connectServer(addressOf(server), signal);
  socket.send(Buffer.concat([Buffer.from([3]), Buffer.from(sql)]), 'command');
  const columns = (await socket.next(60_000))[0] ?? 0;
  for (let index = 0; index <= columns; index++) await socket.next(60_000);
  let rows = 0;
  for (;;) {
    const payload = await socket.next(60_000);
    if (payload[0] === 0xfe && payload.length < 9) break;
    rows += 1;
  }
  socket.close();
  return rows;
}

export interface Figures {
  perSecond: number;
  perCpuSecond: number;
}

/** `run` gives how many rows or changes it took. */
export async function measured(run: () => Promise<number>): Promise<Figures> {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const count = await run();
  const { user, system } = process.cpuUsage(cpu);
  return {
    perSecond: Math.round(count / ((performance.now() - startedAt) / 1000)),
    perCpuSecond: Math.round(count / ((user + system) / 1e6)),
  };
}
