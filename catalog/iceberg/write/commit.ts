import { randomUUID } from 'node:crypto';
import type { Prisma } from '#prisma/generated/client.ts';
import { DailiesError } from '../../error.ts';
import { failpoint } from '../../failpoint.ts';
import type { TableCatalog, TableEntry } from '../tables/table-catalog.ts';
import type { CommitSummary, PreparedCommit } from './prepared-commit.ts';
import type { TableWriter } from './table-writer.ts';

interface WriterCommit {
  writer: TableWriter;
  prepared: PreparedCommit;
}

/** What is written in the same transaction as the commit, where our own catalog is committed to; right after it elsewhere. */
export type Alongside = (tx: Prisma.TransactionClient, commits: readonly WriterCommit[]) => Promise<void>;

/**
 * Commits what the writers have staged: all tables in one atomic step, or none, where the catalog can. Durable and
 * visible when resolved. Throws `commit_conflict` if another writer was faster, `commit_unknown` if it cannot be told;
 * the writers are then spent.
 */
export async function commitTables(
  catalog: TableCatalog,
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
  await commitPrepared(catalog, commits, alongside);
  return commits.map(({ prepared }) => prepared);
}

/** Commits what writers have prepared, and lets them take over what came of it. Throws as `commitTables`. */
export async function commitPrepared(
  catalog: TableCatalog,
  commits: readonly WriterCommit[],
  alongside: Alongside,
): Promise<void> {
  let entries: TableEntry[];
  try {
    // THE COMMIT POINT.
    entries = await catalog.commit(
      commits.map(({ prepared }) => prepared.commit),
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
  for (const [index, { writer, prepared }] of commits.entries()) {
    const entry = entries[index];
    if (!entry) throw new DailiesError('internal', `The catalog has not said what became of ${writer.name}.`);
    await writer.settle(prepared, entry);
  }
}
