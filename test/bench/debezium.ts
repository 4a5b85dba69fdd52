import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { findEngine } from '#test/fixtures/engine.ts';

/** What a peer did in one run, of its whole process. */
export interface DebeziumRun {
  /** Per CPU-second from its first record on. */
  perCpuSecond: number;
  /** The start of the process counted, too. */
  perCpuSecondWithStart: number;
}

export const debeziumIsMissing = 'not installed: test/engines/install debezium';

/**
 * Debezium's embedded engine over a Postgres, until it has made JSON without schemas of `wanted` records, which are forgotten.
 * `settings` are its connector's, beside the address. Null where the engine is not installed.
 */
export async function debeziumRun(
  url: string,
  wanted: number,
  settings: Readonly<Record<string, string>>,
): Promise<DebeziumRun | null> {
  if (findEngine('debezium') === null) return null;
  const address = new URL(url);
  const properties: Record<string, string> = {
    name: 'bench',
    'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
    'offset.storage': 'org.apache.kafka.connect.storage.MemoryOffsetBackingStore',
    'topic.prefix': 'bench',
    'plugin.name': 'pgoutput',
    'database.hostname': address.hostname,
    'database.port': address.port,
    'database.user': decodeURIComponent(address.username),
    'database.password': decodeURIComponent(address.password),
    'database.dbname': address.pathname.slice(1),
    'publication.autocreate.mode': 'disabled',
    ...settings,
  };
  const { stdout } = await promisify(execFile)(path.join(import.meta.dirname, '../engines/debezium/record'), [
    'postgres',
    ...['--format', 'none', '--stop-after', String(wanted)],
    ...Object.entries(properties).map(([name, value]) => `${name}=${value}`),
  ]);
  const done = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  return {
    perCpuSecond: Math.round(done.records / (done.cpuSeconds - done.cpuSecondsBefore)),
    perCpuSecondWithStart: Math.round(done.records / done.cpuSeconds),
  };
}
