import { setTimeout as delay } from 'node:timers/promises';
import { DailiesError } from '#catalog/error.ts';
import { type GtidSet, parseGtidSet } from './binlog/gtid.ts';
import { type Connection, rowsOf, type ServerVersion } from './connection.ts';
import type { Position } from './position.ts';

/** How long a transaction that the log has told may take to be seen: as a commit may take, or a replica be late. */
export const seenWithinMs = 30_000;
const firstPauseMs = 5;
const longestPauseMs = 250;

export interface ServerHead {
  /** Not before anything that was visible when this was asked. */
  position: Position;
  /** The server's clock from before the end of its history was asked. */
  timeMicros: bigint;
}

/** Where the server's history ends. */
export async function serverHead(connection: Connection, version: ServerVersion): Promise<ServerHead> {
  const { gtids, timeMicros } = await knownGtids(connection, version);
  // On MySQL a commit is visible shortly before it is in gtid_executed, but never before it is in the log.
  const [status] = await rowsOf(connection, logStatus(version));
  if (!status?.file) throw noLog();
  const executed = version.flavor === 'mysql' ? parseGtidSet('mysql', status.executed_gtid_set ?? '') : gtids;
  return {
    position: { gtids: executed, log: status.file, logPosition: Number(status.position), prepared: new Map() },
    timeMicros,
  };
}

/** Transactions that the server says it has made; on MariaDB that are in its log. */
export async function knownGtids(
  connection: Connection,
  { flavor }: ServerVersion,
): Promise<{ gtids: GtidSet; timeMicros: bigint }> {
  const variable = flavor === 'mysql' ? '@@GLOBAL.gtid_executed' : '@@GLOBAL.gtid_binlog_pos';
  const [row] = await rowsOf(
    connection,
    `SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED) AS micros, ${variable} AS gtids`,
  );
  return { gtids: parseGtidSet(flavor, row?.gtids ?? ''), timeMicros: BigInt(row?.micros ?? 0) };
}

/**
 * Waits until what a transaction has done can be seen: MySQL tells of it in the log before, as long before as its commit takes.
 * False if that did not come within `limitMs`: its commit waits for a replica that is gone, the server's history was reset
 * meanwhile, or the address leads to a server that does not have it.
 */
export async function untilSeen(
  connection: Connection,
  version: ServerVersion,
  gtid: string,
  { limitMs, signal }: { limitMs: number; signal: AbortSignal },
): Promise<boolean> {
  if (version.flavor !== 'mysql') return true;
  return untilTrue(async () => (await knownGtids(connection, version)).gtids.has(gtid), { limitMs, signal });
}

/** Asks again and again, at first soon; false if the answer is no after `limitMs`, too. Rejects when the signal aborts. */
export async function untilTrue(
  isTrue: () => Promise<boolean>,
  { limitMs, signal }: { limitMs: number; signal: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    if (await isTrue()) return true;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return false;
    await delay(Math.min(pauseMs, leftMs), undefined, { signal });
  }
}

/** Its logs, oldest first, with their bytes. */
export async function readLogBytes(connection: Connection): Promise<Map<string, number>> {
  const rows = await rowsOf(connection, 'SHOW BINARY LOGS');
  return new Map(rows.map((row) => [row.log_name ?? '', Number(row.file_size)]));
}

export function logStatus({ flavor, number }: ServerVersion): string {
  const isRenamed = flavor === 'mysql' ? number >= 80_200 : number >= 100_502;
  if (!isRenamed) return 'SHOW MASTER STATUS';
  return flavor === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW BINLOG STATUS';
}

function noLog(): DailiesError {
  return new DailiesError(
    'source_not_ready',
    'The server writes no binary log; set log_bin in its configuration and restart it.',
  );
}
