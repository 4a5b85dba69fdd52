// One transaction of very many rows, and one value of very many bytes, from the slot into the log: time and memory of a process
// that does nothing else. Usage: node test/bench/large-transaction.ts [--rows 10000000] [--value-mib 100]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { LogProcess } from '#test/ingest/sources/postgres/log-process.ts';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '10000000' }, 'value-mib': { type: 'string', default: '100' } },
});
const rows = Number(values.rows);
const valueMiB = Number(values['value-mib']);

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-large-'));
fs.chmodSync(home, 0o755);
const server = await startEmbeddedPostgres({
  dir: path.join(home, 'postgres'),
  settings: { wal_level: 'logical', max_wal_size: '4GB', shared_buffers: '256MB', synchronous_commit: 'off' },
});
for (const database of ['rows', 'value']) await server.ensureDatabase(database);
console.log(JSON.stringify({ machine: { cpus: os.cpus().length, load: os.loadavg()[0] } }));
console.log(
  JSON.stringify({
    'one transaction': await measure('rows', rows, [
      'CREATE TABLE film (id bigint PRIMARY KEY, title text NOT NULL, votes int NOT NULL, is_open boolean NOT NULL)',
      `INSERT INTO film SELECT i, 'A title of film ' || i, i % 1000, i % 2 = 0 FROM generate_series(1, ${rows}) i`,
    ]),
  }),
);
console.log(
  JSON.stringify({
    'one value': await measure('value', 1, [
      'CREATE TABLE script (id int PRIMARY KEY, body text); ALTER TABLE script ALTER body SET STORAGE EXTERNAL',
      `INSERT INTO script VALUES (1, repeat('0123456789abcdef', ${valueMiB * 65_536}))`,
    ]),
  }),
);
await server.close();
fs.rmSync(home, { recursive: true, force: true });

async function measure(database: string, events: number, [before = '', then = '']: string[]): Promise<object> {
  const client = new pg.Client({ connectionString: server.url(database) });
  await client.connect();
  await client.query(before);
  await using child = new LogProcess(server.url(database), `large_${database}`);
  const idle = await child.until(() => true);
  const startedAt = performance.now();
  await client.query(then);
  const committedAt = performance.now();
  const end = await child.until((report) => report.events >= events);
  const endedAt = performance.now();
  await client.end();
  return {
    rows: events,
    'transaction s': Math.round((committedAt - startedAt) / 100) / 10,
    'from its commit into the log s': Math.round((endedAt - committedAt) / 100) / 10,
    'events per CPU-second': Math.round(events / (end.cpuSeconds - idle.cpuSeconds)),
    'own memory MiB, idle': Math.round(idle.peakBytes / 2 ** 20),
    'own memory MiB, peak': Math.round(end.peakBytes / 2 ** 20),
  };
}
