import type pg from 'pg';
import { rowsOf } from './connection.ts';
import { ddlTransaction } from './ddl-message.ts';
import { readLogicalMessage } from './pgoutput.ts';

const MESSAGE = 77;
const ORIGIN = 79;
const RELATION = 82;
const TYPE = 89;

/** The (sub)transaction of a message of a transaction under way; null for an origin, which is the whole transaction's. */
export function subtransactionOf(bytes: Buffer, at: number, end: number): number | null {
  if (bytes[at] === ORIGIN) return null;
  const own = bytes[at] === MESSAGE ? ddlTransaction(readLogicalMessage(bytes, at + 5, end)) : null;
  return own ?? bytes.readUInt32BE(at + 1);
}

/** True for what one of these has done; a description is none of it, for the server gives it once, to all that follow. */
export function isDoneBy(xids: ReadonlySet<number>, bytes: Buffer, at: number, end: number): boolean {
  if (xids.size === 0 || bytes[at] === RELATION || bytes[at] === TYPE) return false;
  const xid = subtransactionOf(bytes, at, end);
  return xid !== null && xids.has(xid);
}

/** So many in one query. */
const idsAtOnce = 50_000;

/**
 * Those of these subtransactions that were rolled back, by the server's own record, which our slot keeps (catalog_xmin). `xids`:
 * 32 bits each, of a transaction that the stream has told as committed.
 *
 * The stream ought to have told the same, and does not always: a subtransaction that went to the server's disk, since a row of
 * it was incomplete when the memory was full, and that was told from there, counts as told only if the last of it is still in
 * memory (`ReorderBufferMaybeMarkTXNStreamed`, all of 14 to 18), and only then its end is told, too.
 */
export async function rolledBack(client: pg.Client, xids: readonly number[]): Promise<ReadonlySet<number>> {
  const found = new Set<number>();
  for (let at = 0; at < xids.length; at += idsAtOnce) {
    const ids = xids.slice(at, at + idsAtOnce);
    for (const { id } of await rowsOf(client, rolledBackQuery, [`{${ids.join(',')}}`])) found.add(Number(id));
  }
  return found;
}

/** A whole id is the nearest one before the next that has these lower 32 bits. */
const rolledBackQuery = `
WITH next AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS id)
SELECT told.id FROM unnest($1::bigint[]) AS told(id), next
 WHERE pg_xact_status((next.id - ((next.id - told.id) & 4294967295))::text::xid8) = 'aborted'`;
