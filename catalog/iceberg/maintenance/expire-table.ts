import { DailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import { maintenanceSettings } from '../metadata/table-properties.ts';
import type { TableRequirement } from '../metadata/table-updates.ts';
import type { TableCatalog, TableEntry } from '../tables/table-catalog.ts';
import { filesOfExpired } from './expired-files.ts';
import { expiryUpdates, mainLine, planExpiry } from './retention.ts';
import { pinnedSnapshots } from './snapshot-pins.ts';

export interface ExpiryDeps {
  catalog: TableCatalog;
  state: State;
  now: () => Date;
}

/** What one expiry did. */
export interface ExpiryResult {
  /** Snapshots that went. */
  snapshots: number;
  /** Tags of the history that were set, and branches and tags that went. */
  tags: number;
  removedRefs: number;
  /** Files that will be deleted once their grace is over. */
  files: number;
  /** What could not be done, in plain words. */
  notes: string[];
}

/** Snapshots that one commit removes at most: a bounded step. */
const batch = 2_000;
const attempts = 5;

/**
 * Lets snapshots go that the table's settings no longer keep, in a commit of metadata alone, beside any writer of the
 * table: a writer's commit that comes in between makes this one look again. Files that nothing needs any more are
 * remembered in the state database with the commit, to be deleted after their grace. Null where nothing was due. Throws
 * `commit_conflict` where the table moved too often, `not_found` where it is gone.
 */
export async function expireTable(deps: ExpiryDeps, name: string): Promise<ExpiryResult | null> {
  for (let attempt = 1; ; attempt++) {
    const entry = await deps.catalog.load(name, 'all');
    if (!entry) throw new DailiesError('not_found', `There is no table ${name}.`, { details: { table: name } });
    try {
      return await expireOnce(deps, name, entry);
    } catch (thrown) {
      const isConflict = thrown instanceof DailiesError && thrown.code === 'commit_conflict';
      if (!isConflict || attempt >= attempts) throw thrown;
    }
  }
}

async function expireOnce(deps: ExpiryDeps, name: string, entry: TableEntry): Promise<ExpiryResult | null> {
  const { catalog, state, now } = deps;
  const { metadata } = entry;
  const { settings } = maintenanceSettings(metadata.properties);
  const uuid = metadata['table-uuid'];
  const expiry = planExpiry(metadata, settings, now().getTime(), await pinnedSnapshots(state, uuid, now()));
  const ids = expiry.expired.slice(0, batch);
  const updates = expiryUpdates(metadata, { ...expiry, expired: ids });
  if (!updates) return null;
  const result: ExpiryResult = {
    snapshots: ids.length,
    tags: expiry.tags.length,
    removedRefs: expiry.removedRefs.length,
    files: 0,
    notes: [],
  };
  const files = await filesOfExpired(metadata, new Set(ids)).catch((thrown: unknown) => {
    if (!(thrown instanceof DailiesError) || thrown.code !== 'table_corrupt') throw thrown;
    result.notes.push(
      `Files of snapshots that went could not be told and are left to the search for orphans: ${thrown.message}`,
    );
    return [];
  });
  result.files = files.length;
  const base = await freshBase(catalog, name, entry, new Set(ids));
  const dueAt = new Date(now().getTime() + settings.fileGraceMs);
  // THE COMMIT POINT. The files are remembered with it; where it is lost between the two, they are orphans.
  await catalog.commit([{ name, base, requirements: requirementsOf(base), updates }], async (tx) => {
    for (let start = 0; start < files.length; start += 5_000) {
      const data = files.slice(start, start + 5_000).map((location) => ({ location, tableUuid: uuid, dueAt }));
      await tx.expiredFile.createMany({ data, skipDuplicates: true });
    }
  });
  return result;
}

/** The table as it stands right before the commit: planning took a while, in which main may only have gone on. */
async function freshBase(
  catalog: TableCatalog,
  name: string,
  planned: TableEntry,
  expired: ReadonlySet<bigint>,
): Promise<TableEntry> {
  const base = await catalog.load(name, 'all');
  const moved = () => new DailiesError('commit_conflict', `${name} was changed while its history was looked at.`);
  if (!base || base.metadata['table-uuid'] !== planned.metadata['table-uuid']) throw moved();
  if (base.metadataLocation === planned.metadataLocation) return base;
  const head = planned.metadata['current-snapshot-id'];
  const line = new Set(mainLine(base.metadata).map((snapshot) => snapshot['snapshot-id']));
  // What was beside the line may just have been picked up by somebody.
  const isGoneOn = head !== null && head !== undefined && line.has(head) && [...expired].every((id) => line.has(id));
  const isNamed = Object.entries(base.metadata.refs).some(
    ([ref, { 'snapshot-id': id }]) => expired.has(id) && planned.metadata.refs[ref]?.['snapshot-id'] !== id,
  );
  if (!isGoneOn || isNamed) throw moved();
  return base;
}

function requirementsOf({ metadata }: TableEntry): TableRequirement[] {
  return [
    { type: 'assert-table-uuid', uuid: metadata['table-uuid'] },
    { type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': metadata['current-snapshot-id'] ?? null },
  ];
}
