import type pg from 'pg';
import { rowsOf } from './connection.ts';
import { formatLsn } from './lsn.ts';
import { POSTGRES_EPOCH_MICROS } from './pgoutput.ts';
import { quoteIdentifier } from './sql.ts';

const BEGIN = 66;
const STREAM_COMMIT = 99;

/**
 * Answers the server's major version. A database without an encoding gives its bytes as they are: the server's own refusal of
 * those that are no UTF-8 would name neither table nor column.
 */
export async function prepareConnection(client: pg.Client): Promise<number> {
  const [row] = await rowsOf(
    client,
    `SELECT current_setting('server_version_num') AS version, current_setting('server_encoding') AS encoding`,
  );
  if (row?.encoding === 'SQL_ASCII') await rowsOf(client, "SET client_encoding TO 'SQL_ASCII'");
  return Math.floor(Number(row?.version) / 10_000);
}

/**
 * Transactions under way are told from Postgres 14 on. `two_phase` is not asked for: a prepared transaction is then told
 * when it commits, and until then the server keeps it, across restarts of both.
 */
export function startStatement(options: {
  slot: string;
  publications: readonly string[];
  from: bigint;
  /** The server's major version. */
  major: number;
  /** Whether messages of pg_logical_emit_message are told, too. */
  hasMessages: boolean;
}): string {
  const { slot, publications, from, major, hasMessages } = options;
  const names = publications.map((name) => quoteIdentifier(name)).join(',');
  const settings = [
    `proto_version '${major >= 16 ? 4 : Math.max(major - 12, 1)}'`,
    `publication_names '${names.replaceAll("'", "''")}'`,
    ...(major >= 14 ? ["streaming 'on'"] : []),
    ...(major >= 14 && hasMessages ? ["messages 'true'"] : []),
  ];
  return `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${formatLsn(from)} (${settings.join(', ')})`;
}

/** r: Int64 received · Int64 flushed · Int64 applied · Int64 clock · Byte1 reply asked */
export function statusUpdate(received: bigint, flushed: bigint, isReplyAsked: boolean): Buffer {
  const message = Buffer.allocUnsafe(34);
  message[0] = 114;
  message.writeBigUInt64BE(received, 1);
  message.writeBigUInt64BE(flushed, 9);
  message.writeBigUInt64BE(flushed, 17);
  message.writeBigInt64BE(BigInt(Date.now()) * 1000n - POSTGRES_EPOCH_MICROS, 25);
  message[33] = isReplyAsked ? 1 : 0;
  return message;
}

/** True for the beginning of a transaction, or the commit of one under way, whose commit is not before `position`. */
export function isCommitFrom(position: bigint, bytes: Buffer, at: number, end: number): boolean {
  if (bytes[at] === BEGIN) return end === at + 21 && bytes.readBigUInt64BE(at + 1) >= position;
  return bytes[at] === STREAM_COMMIT && end === at + 30 && bytes.readBigUInt64BE(at + 6) >= position;
}
