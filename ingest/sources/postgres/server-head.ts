import { setTimeout } from 'node:timers/promises';
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
 * The same for whoever has just seen rows there: everything that was visible is before `position`. On a standby the record
 * being replayed shows its rows a moment before it counts as replayed, and was received before that.
 */
export async function settledHead(client: pg.Client): Promise<bigint> {
  const [asked] = await rowsOf(client, receivedQuery);
  const received = asked?.received ? parseLsn(asked.received) : 0n;
  for (const endMs = performance.now() + settleWithinMs; ; await setTimeout(settleEveryMs)) {
    const { position } = await serverHead(client);
    // A record that has come in part only is not replayed until its rest comes.
    if (position >= received || performance.now() >= endMs) return position;
  }
}

const settleWithinMs = 1_000;
const settleEveryMs = 5;
const receivedQuery = 'SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END AS received';

export async function isStandby(client: pg.Client): Promise<boolean> {
  const [row] = await rowsOf(client, 'SELECT pg_is_in_recovery() AS is_standby');
  return row?.is_standby === 't';
}

/**
 * Commits an empty message, which flushes all written before it and which the stream passes: what an open transaction has
 * written may end in the middle of a page and stay unflushed, and then the stream never reaches the head. Not on a standby,
 * whose stream is told what it has replayed, and not where the user may not: the head is then reached once somebody writes.
 */
export async function heartbeat(client: pg.Client): Promise<void> {
  const [row] = await rowsOf(client, mayWriteQuery);
  if (row?.may_write === 't') await rowsOf(client, "SELECT pg_logical_emit_message(true, 'dailies', '')");
}

/** SQL that is true for the row of pg_proc with pg_logical_emit_message for text. */
export const emitMessage = `proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::regnamespace AND proargtypes[2] = 'text'::regtype`;

const mayWriteQuery = `
SELECT NOT pg_is_in_recovery() AND bool_and(has_function_privilege(oid, 'EXECUTE')) AS may_write FROM pg_proc
 WHERE ${emitMessage}`;
