import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import { within } from '#catalog/wait.ts';
import { rowsOf, wire } from './connection.ts';
import { parseLsn } from './lsn.ts';
import { isStandby } from './server-head.ts';
import { reasonOf, standbyWaits } from './slot-watch.ts';
import { quoteIdentifier } from './sql.ts';

export interface ExportedSnapshot {
  /** Every transaction committed before it is in the snapshot, none after. */
  position: bigint;
  /** For SET TRANSACTION SNAPSHOT, as long as the connection that made it runs no other command. */
  name: string;
}

const standbyWaitMs = 60_000;

/** Makes the lasting slot on a replication connection. Waits for transactions that write at this moment. */
export async function createSlot(
  replication: pg.Client,
  slot: string,
  isFailoverKnown: boolean,
): Promise<ExportedSnapshot> {
  // A standby's own slots are never handed on.
  const isFailoverKept = isFailoverKnown && !(await isStandby(replication));
  // The form without parentheses is the only one before Postgres 15, and stays accepted after.
  const options = isFailoverKept ? `(SNAPSHOT 'export', FAILOVER true)` : 'EXPORT_SNAPSHOT';
  return created(replication, slot, `LOGICAL pgoutput ${options}`);
}

/** A slot that goes with its connection, for the snapshot of tables that join later. */
export async function createTemporarySlot(replication: pg.Client, slot: string): Promise<ExportedSnapshot> {
  return created(replication, slot, 'TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT');
}

/**
 * On a standby a slot begins where the primary next notes its running transactions: every 15 s where something is written
 * there, else when somebody asks for it. Where that takes over a minute it is given up, and tried again later.
 */
async function created(replication: pg.Client, slot: string, options: string): Promise<ExportedSnapshot> {
  const onStandby = await isStandby(replication);
  const making = rowsOf(replication, `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)} ${options}`);
  const made = onStandby ? await within(making, standbyWaitMs) : await making;
  if (made === 'late') {
    // The server drops what it was making.
    wire(replication).stream.destroy();
    throw new DailiesError('source_protocol', `${standbyWaits(slot)} It is tried again by itself.`, {
      details: { slot },
    });
  }
  const [row] = made;
  if (!row?.consistent_point || !row.snapshot_name) {
    throw new DailiesError('source_protocol', 'The server made a replication slot without saying where it begins.');
  }
  return { position: parseLsn(row.consistent_point), name: row.snapshot_name };
}

/**
 * Throws `source_slot_lost` unless the slot still holds everything after `from`: gone, invalidated, made anew after `from`,
 * or a server whose own history ends before `from` (restored from a backup).
 */
export async function requireSlot(client: pg.Client, slot: string, from: bigint): Promise<void> {
  const [row] = await rowsOf(
    client,
    `SELECT s.confirmed_flush_lsn, s.wal_status, to_jsonb(s) ->> 'invalidation_reason' AS reason, s.database = current_database() AS is_ours, s.database, s.plugin,
            to_jsonb(s) ->> 'two_phase' AS is_two_phase,
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS head
       FROM (SELECT 1) one LEFT JOIN pg_replication_slots s ON s.slot_name = $1`,
    [slot],
  );
  const lost = (why: string) =>
    new DailiesError('source_slot_lost', `${why} Changes since may be missing.`, { details: { slot } });
  if (!row?.confirmed_flush_lsn) throw lost(`The replication slot ${slot} is gone from the server.`);
  if (row.is_ours !== 't' || row.plugin !== 'pgoutput') {
    throw new DailiesError(
      'source_refused',
      `The replication slot ${slot} belongs to database "${row.database}" and plugin ${row.plugin}; give this source another name.`,
      { details: { slot } },
    );
  }
  if (row.wal_status === 'lost') {
    throw lost(`The server has given up the replication slot ${slot}${reasonOf(row.reason ?? null)}.`);
  }
  if (row.is_two_phase === 'true') {
    throw lost(`The replication slot ${slot} was made anew with two_phase, which tells what has not committed.`);
  }
  if (parseLsn(row.confirmed_flush_lsn) > from) {
    throw lost(`The replication slot ${slot} begins after what we hold; somebody made it anew or moved it.`);
  }
  if (row.head && parseLsn(row.head) < from) {
    throw lost(`The server's history ends before what we hold; it was restored from an older state.`);
  }
}

/** Drops the slot if it is there; waits up to 10 s for a connection of ours that is just ending, then throws `source_unreachable`. */
export async function dropSlot(client: pg.Client, slot: string): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const [row] = await rowsOf(client, 'SELECT active FROM pg_replication_slots WHERE slot_name = $1', [slot]);
    if (row?.active !== 't') break;
    await setTimeout(200);
  }
  await rowsOf(
    client,
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()`,
    [slot],
  );
}
