import type pg from 'pg';
import { rowsOf } from './connection.ts';
import { parseLsn } from './lsn.ts';

/**
 * Where the server's history ends: all that committed before `timeMicros`, by the server's clock, is before `position`. It
 * counts what is written but not flushed yet, since a commit with synchronous_commit=off is visible before it is flushed.
 */
export async function serverHead(
  client: pg.Client,
): Promise<{ position: bigint; timeMicros: bigint; isFlushed: boolean }> {
  const [row] = await rowsOf(client, headQuery);
  const next = parseLsn(row?.lsn ?? '0/0');
  // The next record goes behind a new page's header (24 bytes, 40 in a segment's first page); the last one ends before it.
  const onPage = next % BigInt(row?.page_bytes ?? 8192);
  const position = onPage === 24n || onPage === 40n ? next - onPage : next;
  const isFlushed = parseLsn(row?.flushed ?? '0/0') >= position;
  return { position, timeMicros: BigInt(row?.micros ?? 0), isFlushed };
}

/** On a standby all that is visible was replayed, and was flushed before that. */
const headQuery = `
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros, current_setting('wal_block_size') AS page_bytes,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END AS lsn,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS flushed`;

/**
 * Commits an empty message, which flushes all written before it and which the stream passes: what an open transaction has
 * written may end in the middle of a page and stay unflushed, and then the stream never reaches the head.
 */
export async function heartbeat(client: pg.Client): Promise<void> {
  await rowsOf(client, "SELECT pg_logical_emit_message(true, 'dailies', '')");
}
