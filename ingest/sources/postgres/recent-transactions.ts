import type pg from 'pg';
import type { Batch } from '../../event.ts';
import { rowsOf } from './connection.ts';

const epochXids = 1n << 32n;
const replayed = 'replayed';
const snapshotQuery = `
SELECT CASE WHEN pg_is_in_recovery() THEN '${replayed}' ELSE pg_current_snapshot()::text END AS snapshot`;

/**
 * The transactions that the stream has handed out and that nobody has seen as committed yet. The server's log tells of a
 * commit before it is visible: the committing process writes it, then may wait for a standby (synchronous_standby_names),
 * and only then counts as done.
 */
export class RecentTransactions {
  readonly #ids = new Set<number>();

  get size(): number {
    return this.#ids.size;
  }

  note(batch: Batch): void {
    for (const item of batch.items) {
      if (item.kind !== 'changes') continue;
      for (const { id } of item.changes.transactions) this.#ids.add(Number(id));
    }
  }

  add(xid: number): void {
    this.#ids.add(xid);
  }

  /** Commits that wait for a standby now: an earlier stream may have told of them. */
  async noteWaiting(client: pg.Client): Promise<void> {
    const rows = await rowsOf(
      client,
      `SELECT backend_xid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_xid IS NOT NULL`,
    );
    for (const { backend_xid: id } of rows) this.#ids.add(Number(id));
  }

  /**
   * True if a snapshot (`xmin:xmax:xid,…`, as pg_current_snapshot() prints it, or `replayed`) sees all of them. Those that it
   * sees are forgotten, so it must be taken after what was noted.
   */
  areSeenBy(snapshot: string): boolean {
    if (snapshot === replayed) {
      this.#ids.clear();
      return true;
    }
    const [, xmax = '0', list = ''] = snapshot.split(':');
    const end = BigInt(xmax);
    const open = new Set(list === '' ? [] : list.split(',').map((xid) => Number(BigInt(xid) % epochXids)));
    for (const id of this.#ids) if (!open.has(id) && isBefore(id, end)) this.#ids.delete(id);
    return this.#ids.size === 0;
  }
}

/** Compares a transaction id of 32 bits with a whole one that is at most 2^31 away from it. */
function isBefore(id: number, end: bigint): boolean {
  return BigInt.asIntN(32, BigInt(id) - end) < 0n;
}

/**
 * `replayed` on a standby: its stream tells of a commit only after it was replayed, and all that was is visible there (which
 * transactions are not, pg_current_snapshot() does not list there).
 */
export async function currentSnapshot(client: pg.Client): Promise<string> {
  const [row] = await rowsOf(client, snapshotQuery);
  return row?.snapshot ?? '';
}
