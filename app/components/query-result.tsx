'use client';

import { Button, Menu, Progress } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useCallback, useState } from 'react';
import { type Answers, api } from './api.ts';
import { DataGrid } from './data-grid.tsx';
import { StoredFailure } from './failure.tsx';
import { count, counted } from './numbers.ts';
import css from './query-result.module.css';
import { duration, useNow } from './when.tsx';

type QueryState = Answers['sql']['get'];

const formats = [
  { extension: 'csv', label: 'CSV' },
  { extension: 'parquet', label: 'Parquet' },
] as const;

/** One query's result, also while it still runs: the sentence, downloads and the grid. */
export function QueryResult({ id, query, onCancel }: { id: string; query: QueryState; onCancel(): void }) {
  const [seen, setSeen] = useState<{ first: number; last: number } | null>(null);
  const isRunning = query.state === 'queued' || query.state === 'running';
  const rowCount = query.rowCount ?? 0;
  const loadPage = useCallback(
    async (offset: number, limit: number, signal: AbortSignal) =>
      (await api.sql.rows.query({ id, offset, limit }, { signal })).rows,
    [id],
  );
  const onVisible = useCallback((first: number, last: number) => setSeen({ first, last }), []);
  return (
    <section className={css.result} aria-label="Result">
      <div className={css.bar}>
        <p className={css.sentence} role="status">
          <ResultSentence query={query} seen={seen} />
        </p>
        {isRunning && (
          <Button size="compact-sm" onClick={onCancel}>
            Cancel
          </Button>
        )}
        {query.state === 'succeeded' && rowCount > 0 && (
          <Menu>
            <Menu.Target>
              <Button size="compact-sm" leftSection={<IconDownload size={14} aria-hidden />}>
                Download
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {formats.map(({ extension, label }) => (
                <Menu.Item key={extension} component="a" href={`/api/v1/queries/${id}/result.${extension}`} download>
                  {label}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        )}
      </div>
      {isRunning && <Progress value={100} animated size={2} radius={0} aria-label="The query runs" />}
      {query.error && (
        <div className={css.trouble}>
          <StoredFailure error={query.error} what="This statement did not run." />
        </div>
      )}
      {!query.error && query.columns && query.columns.length > 0 && (
        <DataGrid
          label="Rows of the result"
          cacheKey={['sql', id]}
          columns={query.columns}
          rowCount={rowCount}
          loadPage={loadPage}
          onVisible={onVisible}
        />
      )}
    </section>
  );
}

function ResultSentence({ query, seen }: { query: QueryState; seen: { first: number; last: number } | null }) {
  const rowCount = query.rowCount ?? 0;
  const took = query.elapsedMs === null || query.elapsedMs === undefined ? '' : ` · ${duration(query.elapsedMs)}`;
  switch (query.state) {
    case 'queued':
      return <>Waiting for a free place to run …</>;
    case 'running':
      return (
        <>
          Running{rowCount > 0 ? `, ${counted(rowCount, 'row')} so far` : ''} <Elapsed />
        </>
      );
    case 'cancelled':
      return <>Cancelled{took}</>;
    case 'failed':
      return <>Did not run{took}</>;
    default:
      if (rowCount === 0) return <>No rows{took}</>;
      return (
        <>
          {seen ? `${count(seen.first)}–${count(seen.last)} of ` : ''}
          {count(rowCount)}
          {seen ? '' : rowCount === 1 ? ' row' : ' rows'}
          {took}; complete result kept
        </>
      );
  }
}

function Elapsed() {
  const [startedAt] = useState(() => Date.now());
  const now = useNow(200);
  return <span className="dim">{duration(Math.max(0, now.getTime() - startedAt))}</span>;
}
