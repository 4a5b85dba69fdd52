import { DailiesError } from '../error.ts';
import { pinSnapshots } from '../iceberg/maintenance/snapshot-pins.ts';
import { readTableMetadata, snapshotById } from '../iceberg/metadata/table-metadata.ts';
import { holdLocal, type LocalFiles } from '../iceberg/storage.ts';
import type { State } from '../state/state.ts';
import type { QueryChild } from './child-pool.ts';
import type { QueryPlan } from './query-plan.ts';
import { StatementError } from './query-problem.ts';
import type { TableNames } from './table-lookup.ts';

interface HoldDeps {
  state: State;
  catalog: TableNames;
  /** How long the query may run. */
  forMs: number;
  now: Date;
}

/**
 * Keeps what a query reads where it is until disposed: its snapshots from expiring, its files on this machine's disk. Throws
 * `not_found` if a snapshot has expired between planning and now.
 */
export async function holdReads(plan: QueryPlan, child: QueryChild, deps: HoldDeps): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const pins = stack.use(await pinSnapshots(deps.state, plan.reads, deps.forMs, deps.now));
  if (pins.isPinned) await requireKept(plan, deps.catalog);
  stack.use(await holdWhileAlive(plan.locations, child));
  return stack.move();
}

/** What had to be pinned may have gone just before. */
async function requireKept(plan: QueryPlan, catalog: TableNames): Promise<void> {
  for (const { name, metadata, snapshotId } of plan.reads) {
    const location = await catalog.locate(name);
    const now = location === null ? null : await readTableMetadata(location);
    const isSame = now?.['table-uuid'] === metadata['table-uuid'];
    if (now && isSame && snapshotById(now, snapshotId)) continue;
    throw new DailiesError('not_found', `${name} cannot be read: its snapshot ${snapshotId} has just expired.`, {
      details: { table: name },
    });
  }
}

/** Throws as soon as the query's process ends, which is how a query is stopped, however long the work would take. */
export async function whileAlive<T>(child: QueryChild, work: Promise<T>): Promise<T> {
  const ended = child.gone.then(() => {
    throw new StatementError('internal', 'The process of the query ended before it ran.');
  });
  return await Promise.race([work, ended]);
}

/** Holds the files that a query reads while its process lives. */
async function holdWhileAlive(locations: readonly string[], child: QueryChild): Promise<LocalFiles> {
  const holding = holdLocal(locations);
  try {
    return await whileAlive(child, holding);
  } catch (thrown) {
    // Nobody waits for them any more, nor for why they did not come.
    void holding.then((files) => files[Symbol.dispose]()).catch(() => undefined);
    throw thrown;
  }
}
