'use client';

import { StateBadge } from './state-badge.tsx';
import { useNow, When } from './when.tsx';

type Freshness = 'fresh' | 'behind' | 'stale' | 'unknown';

/** Fresh within 10 s, behind within a minute, stale beyond. */
export function freshnessOf(at: Date | null, now: Date): Freshness {
  if (at === null) return 'unknown';
  const ageMs = now.getTime() - at.getTime();
  if (ageMs <= 10_000) return 'fresh';
  return ageMs <= 60_000 ? 'behind' : 'stale';
}

interface TableState {
  state: string | null;
  freshAsOf: Date | null;
}

/** One badge that says how well a table stands: its pipeline's trouble first, else how fresh it is. */
export function TableBadge({ table }: { table: TableState }) {
  const now = useNow(1000);
  if (table.state === 'failed' || table.state === 'paused' || table.state === 'snapshotting') {
    return <StateBadge state={table.state} />;
  }
  if (table.state === null) return <StateBadge state="unknown" word="Kept, not filled" />;
  return <StateBadge state={freshnessOf(table.freshAsOf, now)} />;
}

/** "fresh as of 2 s ago", for sentences. */
export function FreshAsOf({ at }: { at: Date | null }) {
  if (at === null) return <>not filled yet</>;
  return (
    <>
      fresh as of <When at={at} />
    </>
  );
}
