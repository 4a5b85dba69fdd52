'use client';

import { useQuery } from '@tanstack/react-query';
import { api } from './api.ts';
import { DataGrid } from './data-grid.tsx';
import { EmptyState } from './empty-state.tsx';
import { Failure } from './failure.tsx';
import { Loading } from './loading.tsx';
import { counted } from './numbers.ts';

/** A hundred rows as who looks may see them. */
export function TableSample({ name }: { name: string }) {
  const sample = useQuery({
    queryKey: ['tables', 'sample', name],
    queryFn: ({ signal }) => api.tables.sample.query({ name }, { signal }),
    staleTime: 10_000,
  });
  if (sample.isPending) return <Loading what={`a few rows of ${name}`} />;
  if (!sample.data) return <Failure error={sample.error} retry={() => sample.refetch()} />;
  const { columns, rows } = sample.data;
  if (rows.length === 0) {
    return <EmptyState title="The table is empty">Its source has no rows, or its filter lets none through.</EmptyState>;
  }
  return (
    <>
      <p className="dim" style={{ margin: '0 0 8px' }}>
        {counted(rows.length, 'row')}, in no particular order.
      </p>
      <div style={{ height: 480, border: '1px solid var(--line)', borderRadius: 8, overflow: 'hidden' }}>
        <DataGrid
          label={`Sample of ${name}`}
          cacheKey={['tables', 'sample', name, sample.dataUpdatedAt]}
          columns={columns}
          rowCount={rows.length}
          loadPage={async (offset, limit) => rows.slice(offset, offset + limit)}
        />
      </div>
    </>
  );
}
