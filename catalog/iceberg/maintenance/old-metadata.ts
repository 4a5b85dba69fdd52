import type { Prisma } from '#prisma/generated/client.ts';
import type { TableEntry } from '../tables/table-catalog.ts';

/** A reader that has just been told where the metadata is still finds it. */
const graceMs = 15_000;

/**
 * Remembers, in the transaction of a commit, the metadata files that it pushes out of the table's metadata-log, to be
 * deleted some seconds later, where the table's properties ask for that.
 */
export async function expireOldMetadata(
  tx: Prisma.TransactionClient,
  before: TableEntry,
  after: TableEntry,
  nowMs: number,
): Promise<void> {
  if (after.metadata.properties['write.metadata.delete-after-commit.enabled'] !== 'true') return;
  const kept = new Set(after.metadata['metadata-log'].map((entry) => entry['metadata-file']));
  const gone = before.metadata['metadata-log'].flatMap((entry) =>
    kept.has(entry['metadata-file']) ? [] : [entry['metadata-file']],
  );
  if (gone.length === 0) return;
  const dueAt = new Date(nowMs + graceMs);
  const tableUuid = after.metadata['table-uuid'];
  const data = gone.map((location) => ({ location, tableUuid, dueAt }));
  await tx.expiredFile.createMany({ data, skipDuplicates: true });
}
