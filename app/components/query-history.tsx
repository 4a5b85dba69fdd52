'use client';

import { Drawer } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api } from './api.ts';
import { EmptyState } from './empty-state.tsx';
import { Failure } from './failure.tsx';
import { Loading } from './loading.tsx';
import { counted } from './numbers.ts';
import css from './query-history.module.css';
import { RunBadge } from './state-badge.tsx';
import { duration, When } from './when.tsx';

/** What the person ran before; a click opens it in a tab. */
export function QueryHistory({
  opened,
  onClose,
  onOpen,
}: {
  opened: boolean;
  onClose(): void;
  onOpen(sql: string): void;
}) {
  const history = useQuery({
    queryKey: ['sql-history'],
    queryFn: () => api.sql.history.query(),
    enabled: opened,
  });
  return (
    <Drawer opened={opened} onClose={onClose} title="Your history" position="right" size={460}>
      {history.isPending && <Loading what="your history" />}
      {history.error && <Failure error={history.error} retry={() => history.refetch()} />}
      {history.data?.length === 0 && (
        <EmptyState title="Nothing run yet">Every statement that you run is kept here, for you alone.</EmptyState>
      )}
      <ul className={css.list}>
        {history.data?.map((past) => (
          <li key={past.id}>
            <button
              type="button"
              className={css.past}
              onClick={() => {
                onOpen(past.sql);
                onClose();
              }}
            >
              <code className={css.sql}>{past.sql}</code>
              <span className={css.facts}>
                <RunBadge state={past.state} />
                <When at={past.createdAt} />
                {past.rowCount !== null && <span>{counted(past.rowCount, 'row')}</span>}
                {past.elapsedMs !== null && <span>{duration(past.elapsedMs)}</span>}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Drawer>
  );
}
