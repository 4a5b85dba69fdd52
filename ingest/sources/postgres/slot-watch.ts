import type pg from 'pg';
import { rowsOf } from './connection.ts';
import type { ServerNames } from './names.ts';
import { type Provider, settingStatement } from './provider.ts';

/** What the server is about to do to our slot, or has done; `code` as `SourceWarning` has it. */
export interface SlotThreat {
  code: 'slot_behind' | 'slot_idle' | 'slot_lost' | 'slot_waits';
  problem: string;
  /** The exact statement or setting that makes room; null where none does. */
  statement: string | null;
}

/** So much WAL is told where the server keeps it without a limit: how much disk it has it does not say. */
const mostBytes = 5 * 2 ** 30;

/**
 * What threatens the slot now (pg_replication_slots): told once half of max_slot_wal_keep_size is used up, or 5 GiB where
 * there is no limit; once half of idle_replication_slot_timeout has passed; and once it was given up.
 */
export async function slotThreats(client: pg.Client, names: ServerNames, provider: Provider): Promise<SlotThreat[]> {
  const [row] = await rowsOf(client, slotQuery, [names.slot]);
  if (!row) return [];
  const { slot } = names;
  if (row.is_being_made === 't') return [await waitingThreat(client, slot, row.is_standby === 't')];
  if (row.wal_status === 'lost') {
    return [
      {
        code: 'slot_lost',
        problem: `The server has given up the slot ${slot}${reasonOf(row.invalidation_reason ?? null)}; all tables are read again.`,
        statement: raiseLimit(provider, Number(row.limit_mb) * 2),
      },
    ];
  }
  const threats: SlotThreat[] = [];
  const kept = Number(row.kept_bytes);
  const limit = Number(row.limit_mb) * 2 ** 20;
  const isLate = row.wal_status === 'unreserved';
  const left = Number(row.safe_wal_size ?? Number.NaN);
  if (isLate || (limit >= 0 ? left <= limit / 2 : kept >= mostBytes)) {
    threats.push({
      code: 'slot_behind',
      problem: `The server keeps ${megabytes(kept)} of its log (WAL) for the slot ${slot}${outlook(isLate, limit, left)} ${await causeOf(client, kept, Number(row.behind_bytes))}`,
      // Twice what is held is room to catch up.
      statement: raiseLimit(provider, (kept / 2 ** 20) * 2),
    });
  }
  const timeout = Number(row.idle_timeout ?? 0);
  const idle = Number(row.idle_seconds ?? 0);
  if (timeout > 0 && row.active !== 't' && idle >= timeout / 2) {
    threats.push({
      code: 'slot_idle',
      problem: `Nobody has read the slot ${slot} for ${duration(idle)}, and after ${duration(timeout)} the server gives it up (idle_replication_slot_timeout); all tables would have to be read again. Let the source go on.`,
      statement: settingStatement(provider, { name: 'idle_replication_slot_timeout', value: '0', needsRestart: false }),
    });
  }
  return threats;
}

/** Slots of ours in this database that belong to none of the sources `known`, and that nobody reads. */
export async function orphanedSlots(
  client: pg.Client,
  known: readonly ServerNames[],
): Promise<{ slot: string; problem: string; statement: string }[]> {
  const rows = await rowsOf(client, orphansQuery, [known.map(({ slot }) => slot)]);
  return rows.map(({ slot, kept_bytes: kept }) => ({
    slot: slot ?? '',
    problem: `The slot ${slot} belongs to no source of this Dailies and nobody reads it; the server keeps ${megabytes(Number(kept))} of its log (WAL) for it, and more every day. If no other Dailies has a source for it, drop it.`,
    statement: `SELECT pg_drop_replication_slot('${slot}');`,
  }));
}

/** A slot begins once the transactions that were open when it was asked for have ended. */
async function waitingThreat(client: pg.Client, slot: string, onStandby: boolean): Promise<SlotThreat> {
  if (onStandby) return { code: 'slot_waits', problem: standbyWaits(slot), statement: null };
  const [open] = await rowsOf(client, oldestTransactionQuery);
  const which = open ? ` The oldest of them is open since ${open.since} (${nameOf(open)}): end it.` : '';
  return {
    code: 'slot_waits',
    problem: `The slot ${slot} is being made, which waits until the transactions that were open before have ended.${which}`,
    statement: null,
  };
}

export function standbyWaits(slot: string): string {
  return `The slot ${slot} is being made on a standby, where it begins once the primary server has noted its running transactions, which it does when something is written there. To have it at once, run on the primary: SELECT pg_log_standby_snapshot();`;
}

function nameOf({ gid, pid }: Record<string, string | null>): string {
  return gid === null ? `process ${pid}` : `prepared as '${gid}'`;
}

function outlook(isLate: boolean, limit: number, left: number): string {
  if (isLate) return ' and gives it up at its next checkpoint; all tables would then have to be read again.';
  if (limit < 0) return ', without a limit: its disk fills.';
  return ` and gives it up beyond ${megabytes(limit)}: ${megabytes(Math.max(0, left))} are left, then all tables would have to be read again.`;
}

/** What keeps it: what we have not read yet, or a transaction that is open at the server. */
async function causeOf(client: pg.Client, kept: number, behind: number): Promise<string> {
  if (behind >= kept / 2) {
    return `Dailies has ${megabytes(behind)} of it still to read: it is slower than what is written there, or it stands; see its state.`;
  }
  const [open] = await rowsOf(client, oldestTransactionQuery);
  if (!open) return 'Dailies has read it; the server lets go of it at its next checkpoints.';
  const since = `open since ${open.since}`;
  const read = 'Dailies has read it, but the server keeps it for a transaction that is';
  if (open.gid !== null) return `${read} prepared and ${since}: COMMIT or ROLLBACK PREPARED '${open.gid}'.`;
  return `${read} ${since} (process ${open.pid}): end it.`;
}

function raiseLimit(provider: Provider, megabytesWanted: number): string {
  const value = String(Math.max(1024, Math.ceil(megabytesWanted)));
  return settingStatement(provider, { name: 'max_slot_wal_keep_size', value, needsRestart: false });
}

/** pg_replication_slots.invalidation_reason, which a server tells from Postgres 17 on. */
export function reasonOf(reason: string | null): string {
  switch (reason) {
    case 'rows_removed':
      return ', for this standby had to remove rows of its catalogs that the slot still needs (set hot_standby_feedback = on)';
    case 'wal_level_insufficient':
      return ', for the primary server writes no logical WAL any more (wal_level)';
    case 'idle_timeout':
      return ', for nobody has read it for longer than idle_replication_slot_timeout allows';
    default:
      return ', for it held more WAL than max_slot_wal_keep_size allows';
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20).toLocaleString('en-US')} MB`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} minutes`;
  return `${Math.round(seconds / 3_600)} hours`;
}

/** Where this server's log ends. */
const head = 'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END';

// Columns and settings that a version does not know are NULL. The limit is in megabytes, the time-out in seconds.
const slotQuery = `
SELECT s.wal_status, s.safe_wal_size, s.active, s.confirmed_flush_lsn IS NULL AS is_being_made, pg_is_in_recovery() AS is_standby, pg_wal_lsn_diff(${head}, s.restart_lsn) AS kept_bytes,
  pg_wal_lsn_diff(${head}, s.confirmed_flush_lsn) AS behind_bytes, to_jsonb(s) ->> 'invalidation_reason' AS invalidation_reason,
  extract(epoch FROM clock_timestamp() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::bigint AS idle_seconds,
  (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS limit_mb,
  (SELECT setting FROM pg_settings WHERE name = 'idle_replication_slot_timeout') AS idle_timeout
FROM pg_replication_slots s WHERE s.slot_name = $1`;

const orphansQuery = `
SELECT s.slot_name AS slot, pg_wal_lsn_diff(${head}, s.restart_lsn) AS kept_bytes FROM pg_replication_slots s
 WHERE s.slot_name LIKE 'dailies\\_%' AND s.plugin = 'pgoutput' AND s.database = current_database()
   AND NOT s.active AND NOT s.temporary AND s.slot_name <> ALL ($1::text[])
 ORDER BY s.slot_name`;

// Only those that have written something hold back where decoding begins.
const oldestTransactionQuery = `
SELECT pid, gid, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') AS since FROM (
  SELECT pid, NULL AS gid, xact_start AS since FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
  UNION ALL SELECT NULL, gid, prepared FROM pg_prepared_xacts) open
 WHERE since < clock_timestamp() - interval '10 seconds' ORDER BY open.since LIMIT 1`;
