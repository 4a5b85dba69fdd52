import { DailiesError } from '../../error.ts';
import { nearestName } from '../../services/nearest-name.ts';
import { mainLine } from '../maintenance/retention.ts';
import { type Snapshot, snapshotById, type TableMetadata } from '../metadata/table-metadata.ts';
import { isOfUnfinished } from '../tables/unfinished.ts';

/** A state of a table: a snapshot, what was current at a time, or the head of a branch or tag. */
export type ScanTime = { snapshotId: bigint } | { timeMs: number } | { ref: string };

/**
 * The snapshot that the table had then. Throws `not_found`: for a time naming the oldest state that is kept, for a branch or
 * tag naming those there are.
 */
export function snapshotAt(metadata: TableMetadata, at: ScanTime): Snapshot {
  if ('snapshotId' in at) return withId(metadata, at.snapshotId);
  return 'ref' in at ? withRef(metadata, at.ref) : ofTime(metadata, at.timeMs);
}

function withId(metadata: TableMetadata, id: bigint): Snapshot {
  const found = snapshotById(metadata, id);
  if (found) return found;
  const oldest = oldestTime(metadata);
  throw new DailiesError('not_found', `The table has no snapshot ${id}; it may have expired. ${oldestKept(oldest)}`, {
    details: { oldest },
  });
}

function withRef(metadata: TableMetadata, name: string): Snapshot {
  const names = Object.keys(metadata.refs);
  const ref = Object.hasOwn(metadata.refs, name) ? metadata.refs[name] : undefined;
  if (ref) return withId(metadata, ref['snapshot-id']);
  // Texts that are all digits are snapshot ids that were quoted.
  if (/^\d{1,19}$/.test(name)) return withId(metadata, BigInt(name));
  const nearest = nearestName(name, names);
  const hint = nearest === null ? '' : ` Did you mean ${nearest}?`;
  throw new DailiesError('not_found', `The table has no tag or branch "${name}".${hint}`, { details: { refs: names } });
}

/*
 * The log tells what was current when, rollbacks too, but goes no further back than the first snapshot that has expired;
 * before that the table's line holds what thinning has left of it.
 */
function ofTime(metadata: TableMetadata, timeMs: number): Snapshot {
  const entry = metadata['snapshot-log'].findLast((candidate) => candidate['timestamp-ms'] <= timeMs);
  const logged = entry && snapshotById(metadata, entry['snapshot-id']);
  const found = logged ?? mainLine(metadata).find((snapshot) => snapshot['timestamp-ms'] <= timeMs);
  // Nobody saw the table then.
  if (found && !isOfUnfinished(found)) return found;
  const oldest = oldestTime(metadata);
  throw new DailiesError('not_found', oldestKept(oldest), { details: { oldest } });
}

function oldestTime(metadata: TableMetadata): string | null {
  const oldest = mainLine(metadata).findLast((snapshot) => !isOfUnfinished(snapshot));
  return oldest ? new Date(oldest['timestamp-ms']).toISOString() : null;
}

function oldestKept(oldest: string | null): string {
  return oldest === null
    ? 'The table has no snapshot yet.'
    : `The oldest state of the table that is kept is of ${oldest}.`;
}
