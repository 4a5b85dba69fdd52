import { randomUUID } from 'node:crypto';
import type { Prisma } from '#prisma/generated/client.ts';
import { DailiesError } from '../error.ts';
import { failpoint } from '../failpoint.ts';
import type { IcebergCatalog } from './catalog.ts';
import type { CommitSummary, PreparedCommit, TableWriter } from './table-writer.ts';

/** What is written in the same transaction as the pointers. */
export type Alongside = (
  tx: Prisma.TransactionClient,
  commits: readonly { writer: TableWriter; prepared: PreparedCommit }[],
) => Promise<void>;

/**
 * Commits what the writers have staged: all tables in one atomic step, or none. Durable and visible when resolved. Throws
 * `commit_conflict` if another writer was faster, `commit_unknown` if it cannot be told; the writers are then spent.
 */
export async function commitTables(
  catalog: IcebergCatalog,
  writers: readonly TableWriter[],
  summary: CommitSummary,
  alongside: Alongside,
): Promise<PreparedCommit[]> {
  const whole = { ...summary, 'dailies.commit-id': randomUUID() };
  // All are waited for, also where one fails: a writer must not be closed while it writes.
  const outcomes = await Promise.allSettled(
    writers.map(async (writer) => ({ writer, prepared: await writer.prepare(whole) })),
  );
  const commits = outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
  await movePointers(catalog, commits, alongside);
  return commits.map(({ prepared }) => prepared);
}

/** Compacts a table if it is worth it; readers see the same rows before and after. */
export async function compactTable(
  catalog: IcebergCatalog,
  writer: TableWriter,
  alongside: Alongside,
): Promise<boolean> {
  const prepared = await writer.prepareCompaction();
  if (!prepared) return false;
  await movePointers(catalog, [{ writer, prepared }], alongside);
  return true;
}

async function movePointers(
  catalog: IcebergCatalog,
  commits: readonly { writer: TableWriter; prepared: PreparedCommit }[],
  alongside: Alongside,
): Promise<void> {
  try {
    await catalog.commit(
      commits.map(({ prepared }) => prepared.change),
      (tx) => alongside(tx, commits),
    );
  } catch (thrown) {
    // Refused for certain: nobody can see these files. In doubt they stay.
    if (thrown instanceof DailiesError && thrown.code === 'commit_conflict') {
      await Promise.all(commits.map(({ writer, prepared }) => writer.discard(prepared)));
    }
    throw thrown;
  }
  failpoint('after-table-commit');
  for (const { writer, prepared } of commits) await writer.settle(prepared);
}
