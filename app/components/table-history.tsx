'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { sqlTableName } from '#catalog/query/sql-name.ts';
import { api } from './api.ts';
import { CopyId } from './copy-id.tsx';
import { EmptyState } from './empty-state.tsx';
import { Failure } from './failure.tsx';
import { ListTable } from './list-table.tsx';
import { Loading } from './loading.tsx';
import { count, counted } from './numbers.ts';
import { pathOf } from './paths.ts';
import { When } from './when.tsx';

/** A statement that reads the table as it was after a commit. */
function asOf(name: string, snapshotId: string): string {
  return `SELECT *\nFROM ${sqlTableName(name)} AT (VERSION => ${snapshotId})\nLIMIT 100`;
}

/** A statement that tells what the commits after it have changed. */
function changesSince(name: string, snapshotId: string): string {
  const text = `'${name.replaceAll("'", "''")}'`;
  return `SELECT change, before, after\nFROM changes(${text}, ${snapshotId})\nLIMIT 100`;
}

/** The table's commits: when, how many rows each changed, and what became of the columns. */
export function TableHistory({ name }: { name: string }) {
  const history = useQuery({
    queryKey: ['tables', 'history', name],
    queryFn: ({ signal }) => api.tables.history.query({ name }, { signal }),
    refetchInterval: 5000,
    placeholderData: keepPreviousData,
  });
  if (history.isPending) return <Loading what={`the history of ${name}`} />;
  if (!history.data) return <Failure error={history.error} retry={() => history.refetch()} />;
  const { commits, commitCount } = history.data;
  if (commits.length === 0) {
    return <EmptyState title="Nothing was written yet">Each commit to the table is listed here.</EmptyState>;
  }
  const changes = commits.filter((commit) => commit.schemaChanges.length > 0);
  return (
    <>
      <p className="dim" style={{ margin: '0 0 8px' }}>
        {counted(commitCount, 'commit')} kept
        {commitCount > commits.length && `, the newest ${count(commits.length)} shown`} ·{' '}
        {changes.length === 0
          ? 'the columns have not changed'
          : `the columns changed ${counted(changes.length, 'time')}`}
      </p>
      <ListTable
        label={`Commits of ${name}`}
        rows={commits}
        rowKey={(commit) => commit.snapshotId}
        columns={[
          { head: 'When', cell: (commit) => <When at={commit.at} />, width: '130px' },
          { head: 'Written', align: 'right', cell: (commit) => count(commit.added) },
          { head: 'Taken out', align: 'right', cell: (commit) => count(commit.removed) },
          { head: 'Rows then', align: 'right', cell: (commit) => count(commit.rows) },
          { head: 'Tags', cell: (commit) => commit.names.join(', '), isExtra: true },
          { head: 'Columns', cell: (commit) => commit.schemaChanges.join('; ') },
          { head: 'Snapshot', cell: (commit) => <CopyId value={commit.snapshotId} />, isExtra: true },
          {
            head: 'Query',
            cell: (commit) => (
              <>
                <Link href={pathOf.sql(asOf(name, commit.snapshotId))}>as of</Link>
                {' · '}
                <Link href={pathOf.sql(changesSince(name, commit.snapshotId))}>changes since</Link>
              </>
            ),
          },
        ]}
      />
    </>
  );
}
