import { connectDuckdbBeside } from '../files/duckdb-engine.ts';
import { removeFiles } from '../storage.ts';
import { type Rewrite, type RewritePlan, rewriteFiles } from '../write/rewrite-files.ts';
import type { MaintainedTable } from './maintained-tables.ts';

/** What one step of compaction did. */
export interface CompactionResult {
  rewrites: number;
  /** Data files that went, and those that came. */
  files: number;
  newFiles: number;
  /** Bytes of data files before and after. */
  bytes: number;
  newBytes: number;
  /** Deleted rows that are no longer stored. */
  droppedRows: number;
  /** How long writing waited for it. */
  heldMs: number;
}

/** How long a turn of the writer's is waited for: a large transaction may be on its way for minutes. */
const turnWithinMs = 30_000;

/**
 * Rewrites small files, or one with many deletes, as one, beside the table's writer, and puts it in their place in a short
 * turn of the writer's. Null where nothing is worth it, or where the table has gone on without the files. Repeat-safe: a
 * rewrite that does not come through leaves the table as it is. Null also where the writer is busy for too long; begun at
 * once or not at all unless it `waits`. Throws `cancelled` where the writer closes meanwhile.
 */
export async function compactTable(
  table: MaintainedTable,
  signal: AbortSignal,
  { waits }: { waits: boolean },
): Promise<CompactionResult | null> {
  if (!waits && !table.isAtRest()) return null;
  try {
    return await compact(table, signal);
  } catch (thrown) {
    if (thrown instanceof TurnTimeout) return null;
    throw thrown;
  }
}

class TurnTimeout extends Error {}

async function inTurn<T>(table: MaintainedTable, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const late = AbortSignal.timeout(turnWithinMs);
  let isBegun = false;
  const begun = async () => {
    isBegun = true;
    return await work();
  };
  try {
    return await table.inTurn(begun, AbortSignal.any([signal, late]));
  } catch (thrown) {
    if (late.aborted && !signal.aborted && !isBegun) throw new TurnTimeout();
    throw thrown;
  }
}

async function compact(table: MaintainedTable, signal: AbortSignal): Promise<CompactionResult | null> {
  // Entries of an earlier rewrite come first: at most one is on its way.
  await table.writer.rewrites.followMoves(signal);
  const found: { plan: RewritePlan | null; heldMs: number; failure?: unknown } = await inTurn(
    table,
    async () => {
      const startMs = performance.now();
      try {
        const plan = await table.writer.rewrites.plan();
        return { plan, heldMs: performance.now() - startMs };
      } catch (failure) {
        // Nothing is changed by planning: the writer is as good as before.
        return { plan: null, heldMs: 0, failure };
      }
    },
    signal,
  );
  if (found.failure !== undefined) throw found.failure;
  if (!found.plan) return null;
  const rewrite = await rewriteBeside(found.plan, signal);
  let isTaken = false;
  try {
    const heldMs = await inTurn(
      table,
      async () => {
        const startMs = performance.now();
        const prepared = await table.writer.prepareRewritten(rewrite);
        if (!prepared) return null;
        // From here on the files are the commit's: where its outcome is unknown they stay.
        isTaken = true;
        await table.commit(prepared);
        return performance.now() - startMs;
      },
      signal,
    );
    if (heldMs === null) return null;
    await table.writer.rewrites.followMoves(signal);
    return resultOf(rewrite, found.heldMs + heldMs);
  } finally {
    if (!isTaken) await removeFiles([rewrite.plan.location]);
  }
}

async function rewriteBeside(plan: RewritePlan, signal: AbortSignal): Promise<Rewrite> {
  signal.throwIfAborted();
  const connection = await connectDuckdbBeside();
  const interrupt = () => connection.interrupt();
  signal.addEventListener('abort', interrupt, { once: true });
  try {
    return await rewriteFiles(connection, plan);
  } catch (thrown) {
    await removeFiles([plan.location]);
    signal.throwIfAborted();
    throw thrown;
  } finally {
    signal.removeEventListener('abort', interrupt);
    connection.closeSync();
  }
}

function resultOf({ plan, file, moves }: Rewrite, heldMs: number): CompactionResult {
  const rows = plan.sources.reduce((sum, { entry }) => sum + entry.file.recordCount, 0);
  return {
    rewrites: 1,
    files: plan.sources.length,
    newFiles: file ? 1 : 0,
    bytes: plan.sources.reduce((sum, { entry }) => sum + entry.file.sizeBytes, 0),
    newBytes: file?.sizeBytes ?? 0,
    droppedRows: rows - moves.reduce((sum, { map }) => sum + map.kept, 0),
    heldMs: Math.round(heldMs),
  };
}
