'use client';

import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { type Answers, api, problemOf } from './api.ts';

export type SheetView = NonNullable<Answers['studio']['sheet']>;

/** A tab followed live. `changed` holds the cells ("row:column") that the last change touched. */
export function useSheet({ spreadsheet, tab }: { spreadsheet: string; tab: string }, isLive: boolean) {
  const [view, setView] = useState<SheetView | null>(null);
  const [changed, setChanged] = useState<ReadonlySet<string>>(new Set());
  const shown = useRef<SheetView | null>(null);
  const query = useQuery({
    queryKey: ['studio', 'sheet', spreadsheet, tab],
    queryFn: ({ signal }) =>
      api.studio.sheet.query({ spreadsheet, tab, since: shown.current?.version ?? null }, { signal }),
    refetchInterval: (query) => (isLive ? (query.state.status === 'error' ? 3000 : 400) : false),
    refetchIntervalInBackground: false,
    staleTime: 0,
    gcTime: 0,
  });
  const { data, refetch } = query;
  useEffect(() => {
    if (!data) return;
    if (shown.current) setChanged(differences(shown.current, data));
    shown.current = data;
    setView(data);
  }, [data]);

  const write = useCallback(
    async (row: number, column: number, value: string) => {
      try {
        await api.studio.write.mutate({ spreadsheet, tab, row, column, value });
        await refetch();
      } catch (error) {
        notifications.show({ color: 'red', message: problemOf(error).message });
      }
    },
    [spreadsheet, tab, refetch],
  );
  return { view, changed, error: query.error, retry: () => void refetch(), write };
}

function differences(before: SheetView, after: SheetView): ReadonlySet<string> {
  const cells = new Set<string>();
  for (const [row, line] of after.cells.entries()) {
    for (const [column, text] of line.entries()) {
      if (text !== (before.cells[row]?.[column] ?? '')) cells.add(`${row}:${column}`);
    }
  }
  return cells;
}
