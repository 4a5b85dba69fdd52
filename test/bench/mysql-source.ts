// A MySQL or MariaDB source alone: the snapshot of a table of 12 columns into the files that are handed on, and a backlog of
// changes from the binary log into the durable log, by turns with raw drains of the same rows and of the same log on our own
// connection, which decode nothing. CPU is that of our process; the server's is not counted.
// Usage: node test/bench/mysql-source.ts [--server 'MariaDB 11.4'] [--rows 500000] [--events 300000] [--rounds 3]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Batch } from '#ingest/event.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { MysqlSource } from '#ingest/sources/mysql/mysql-source.ts';
import { parsePosition } from '#ingest/sources/mysql/position.ts';
import { isMysql, type ServerName, serverNames } from '#test/fixtures/mysql-programs.ts';
import { startServer } from '#test/fixtures/mysql-server.ts';
import { createFilm, drainLog, drainSelect, type Figures, insertFilms, makeBacklog, measured } from './mysql-work.ts';

const { values } = parseArgs({
  options: {
    server: { type: 'string', default: 'MariaDB 11.4' },
    rows: { type: 'string', default: '500000' },
    events: { type: 'string', default: '300000' },
    rounds: { type: 'string', default: '3' },
  },
});
const name = serverNames.find((known): known is ServerName => known === values.server);
if (name === undefined) throw new Error(`--server is one of ${serverNames.join(', ')}.`);
const rows = Number(values.rows);
const events = Number(values.events);
const maxPendingBytes = 16 << 20;
const flavor = isMysql(name) ? 'mysql' : 'mariadb';

await using server = await startServer(name, { 'innodb-buffer-pool-size': '512M' });
await using database = await server.createDatabase();
const film = `${database.name}.film`;
await createFilm(database);
for (let from = 0; from < rows; from += 100_000)
  await insertFilms(server, database, from, Math.min(100_000, rows - from));
await database.query('ANALYZE TABLE film');
const memory = passingMemory();
const open = () =>
  new MysqlSource({ url: server.url(), tables: [film] }, { name: 'bench', memory, now: () => new Date() });

const snapshots: Figures[] = [];
const selects: Figures[] = [];
let from = '';
for (let round = 0; round < Number(values.rounds); round++) {
  selects.push(await measured(() => drainSelect(server, `SELECT * FROM ${film} ORDER BY id`)));
  snapshots.push(await measured(snapshot));
}
await makeBacklog(server, database, events);
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-mysql-bench-'));
const streams: Figures[] = [];
const drains: Figures[] = [];
let logBytes = 0;
let made = 0;
for (let round = 0; round < Number(values.rounds); round++) {
  const gtids = parsePosition(flavor, from).gtids.toString();
  const drain = async () => {
    logBytes = await drainLog(server, flavor, gtids);
    return made;
  };
  streams.push(await measured(() => intoLog(path.join(home, `log${round}`))));
  drains.push(await measured(drain));
}
fs.rmSync(home, { recursive: true, force: true });
const best = (figures: readonly Figures[]) => figures.reduce((a, b) => (b.perCpuSecond > a.perCpuSecond ? b : a));
const share = (ours: readonly Figures[], limit: readonly Figures[]) =>
  `${Math.round((100 * best(ours).perSecond) / best(limit).perSecond)} %`;
console.log(
  JSON.stringify(
    {
      server: name,
      cpus: os.cpus().length,
      load: os.loadavg()[0],
      rows,
      'snapshot into files': snapshots,
      'SELECT, drained': selects,
      'speed of the snapshot beside the drain': share(snapshots, selects),
      changes: made,
      'MB of log': Math.round(logBytes / 1e6),
      'into the durable log': streams,
      'log, drained': drains,
      'speed into the log beside the drain': share(streams, drains),
    },
    null,
    2,
  ),
);

/** Until the table is whole; what is handed on is let go of. */
async function snapshot(): Promise<number> {
  const source = open();
  const stop = new AbortController();
  const tables = new Map([[film, { snapshot: true, generation: 1, cursor: null }]]);
  let read = 0;
  for await (const { items, position } of source.changes({ from: null, tables }, stop.signal)) {
    for (const item of items) {
      if (item.kind === 'snapshot-rows') read += item.snapshotRows.rows;
      if (item.kind === 'snapshot-end') stop.abort();
    }
    from = position;
  }
  await source.close();
  if (read !== rows) throw new Error(`${read} rows were read of ${rows}`);
  return read;
}

/** As a runtime appends: several batches at once, bounded by what is not durable yet. */
async function intoLog(folder: string): Promise<number> {
  const source = open();
  const log = new EmbeddedLog({ path: folder });
  const stop = new AbortController();
  const tables = new Map([[film, { snapshot: false, generation: 1, cursor: null }]]);
  let count = 0;
  let appended: Promise<unknown> = Promise.resolve();
  for await (const batch of source.changes({ from, tables }, stop.signal)) {
    appended = Promise.all([appended, log.append('bench', [batch])]);
    if (log.pendingBytes('bench') > maxPendingBytes) await appended;
    count += changesIn(batch);
    if (count >= events) stop.abort();
  }
  await appended;
  await log.close();
  await source.close();
  made = count;
  return count;
}

function changesIn(batch: Batch): number {
  return batch.items.reduce((sum, item) => sum + (item.kind === 'changes' ? item.changes.events.length : 0), 0);
}
