import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { SourcePosition } from '../../event.ts';
import { rowsOf } from './connection.ts';
import type { Kept, KeptState } from './kept.ts';
import { parseLsn } from './lsn.ts';

/** Which server's history a connection reads. */
type ServerHistory = Pick<KeptState, 'system' | 'timeline'>;

/**
 * Goes on behind `from` on a replication connection, and keeps whose history is read from here on. Throws `source_slot_lost`
 * where the history up to `from` is not this server's: another server stands at the address, or one that was promoted, or
 * restored, at a place before `from`. What is not known of it is taken for the same.
 */
export async function followHistory(replication: pg.Client, kept: Kept, from: SourcePosition | null): Promise<void> {
  const now = await readHistory(replication);
  if (from !== null) await requireSame(replication, await kept.read(), now, parseLsn(from));
  await kept.write(now);
}

async function readHistory(replication: pg.Client): Promise<ServerHistory> {
  const [row] = await rowsOf(replication, 'IDENTIFY_SYSTEM');
  const [recovery] = await rowsOf(replication, 'SELECT pg_is_in_recovery() AS is_standby');
  return {
    system: row?.systemid ?? null,
    timeline: recovery?.is_standby === 't' ? null : Number(row?.timeline ?? 0) || null,
  };
}

async function requireSame(
  replication: pg.Client,
  known: ServerHistory,
  now: ServerHistory,
  from: bigint,
): Promise<void> {
  const lost = (why: string) =>
    new DailiesError('source_slot_lost', `${why} Changes since may be missing.`, {
      details: { system: now.system, timeline: now.timeline },
    });
  if (known.system !== null && now.system !== known.system) {
    throw lost(
      'Another database server stands at the address of this source: its history is not the one we have read.',
    );
  }
  if (known.timeline === null || now.timeline === null || known.timeline === now.timeline) return;
  const end = await endOf(replication, known.timeline, now.timeline);
  if (end === null || end < from) {
    throw lost(
      'The server at the address of this source was promoted, or restored, at a place before the last change that we have read.',
    );
  }
}

/** Where `timeline` was left for the one that leads to `now`; null where it does not lead there. */
async function endOf(replication: pg.Client, timeline: number, now: number): Promise<bigint | null> {
  const [row] = await rowsOf(replication, `TIMELINE_HISTORY ${now}`);
  // A line for each timeline before: its number, where it was left, why.
  for (const line of String(row?.content ?? '').split('\n')) {
    const [, number, place] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line) ?? [];
    if (Number(number) === timeline && place) return parseLsn(place);
  }
  return null;
}
