'use client';

import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { api } from './api.ts';
import { Failure } from './failure.tsx';
import { ListTable } from './list-table.tsx';
import { Loading } from './loading.tsx';
import { useWho } from './session.tsx';
import { When } from './when.tsx';

/** Events that a step could not carry on, each with its reason. `known` is their number, which a change of reloads. */
export function DeadLetters({ pipeline, known }: { pipeline: string; known: number }) {
  const who = useWho();
  const letters = useInfiniteQuery({
    queryKey: ['pipelines', 'dead-letters', pipeline, known],
    queryFn: ({ pageParam, signal }) =>
      api.pipelines.deadLetters.query(
        { name: pipeline, ...(pageParam === null ? {} : { before: pageParam }) },
        { signal },
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    enabled: known > 0 && who.mayWritePipelines,
  });
  if (known === 0) {
    return <p className="dim">None: every event was carried on. One that a step refuses waits here with its reason.</p>;
  }
  if (!who.mayWritePipelines) {
    return <p className="dim">Keys of rows stand in them: the role owner may see them. Ask an admin to grant it.</p>;
  }
  if (letters.isPending) return <Loading what="the rejected events" rows={3} />;
  if (letters.error) return <Failure error={letters.error} retry={() => letters.refetch()} />;
  const rows = letters.data.pages.flatMap((page) => page.letters);
  return (
    <>
      <ListTable
        label="Rejected events"
        rows={rows}
        rowKey={(letter) => letter.id}
        columns={[
          { head: 'When', width: '120px', cell: (letter) => <When at={letter.at} /> },
          { head: 'Table', cell: (letter) => letter.table },
          { head: 'Key', cell: (letter) => <span className="mono">{keyText(letter.key)}</span> },
          { head: 'Step', cell: (letter) => letter.step, isExtra: true },
          { head: 'Reason', cell: (letter) => letter.reason },
        ]}
      />
      {letters.hasNextPage && (
        <Button mt={8} loading={letters.isFetchingNextPage} onClick={() => void letters.fetchNextPage()}>
          Show earlier ones
        </Button>
      )}
    </>
  );
}

function keyText(key: unknown): string {
  if (Array.isArray(key)) return key.map(String).join(', ');
  if (key !== null && typeof key === 'object') {
    return Object.entries(key)
      .map(([name, value]) => `${name} ${String(value)}`)
      .join(', ');
  }
  return String(key);
}
