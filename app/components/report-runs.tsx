'use client';

import type { Answers } from './api.ts';
import { EmptyState } from './empty-state.tsx';
import { ListTable } from './list-table.tsx';
import { count, counted } from './numbers.ts';
import css from './report-runs.module.css';
import { deliveryWords, destinationName } from './report-words.tsx';
import { RunBadge } from './state-badge.tsx';
import { duration, When } from './when.tsx';

type Run = Answers['reports']['get']['runs'][number];

const triggers: Record<string, string> = { manual: 'asked for', schedule: 'schedule', 'new-data': 'new data' };

/** Each run with its attempts, their reasons, and what it delivered. */
export function ReportRuns({ runs }: { runs: readonly Run[] }) {
  if (runs.length === 0) {
    return (
      <EmptyState title="It has not run yet">“Run now” runs it at once and shows here what it delivered.</EmptyState>
    );
  }
  return (
    <ListTable
      label="Runs"
      rows={runs}
      rowKey={(run) => run.id}
      columns={[
        { head: 'State', width: '130px', cell: (run) => <RunBadge state={run.state} /> },
        { head: 'When', width: '130px', cell: (run) => <When at={run.createdAt} /> },
        {
          head: 'Why',
          isExtra: true,
          cell: (run) => (
            <>
              {triggers[run.trigger] ?? run.trigger}
              {run.trigger === 'manual' && ` by ${run.requestedBy}`}
            </>
          ),
        },
        { head: 'Rows', align: 'right', cell: (run) => (run.rows === null ? '–' : count(run.rows)) },
        {
          head: 'Took',
          align: 'right',
          cell: (run) =>
            run.startedAt && run.endedAt ? duration(run.endedAt.getTime() - run.startedAt.getTime()) : '–',
        },
        { head: 'What happened', cell: (run) => <RunStory run={run} /> },
      ]}
    />
  );
}

function RunStory({ run }: { run: Run }) {
  const troubled = run.attempts.filter((attempt) => attempt.error !== null);
  return (
    <div className={css.story}>
      {run.error && <span>{run.error.message}</span>}
      {run.destinations.map((destination) => (
        <span key={`${destination.kind}${destination.target}`}>
          {destinationName(destination.kind)}: {deliveryWords(destination)}
          {destination.errors.length > 0 && `, ${counted(destination.errors.length, 'row')} refused`}
        </span>
      ))}
      {troubled.length > 0 && (
        <details className={css.attempts}>
          <summary>{counted(run.attempts.length, 'attempt')}</summary>
          <ol>
            {run.attempts.map((attempt) => (
              <li key={attempt.number} value={attempt.number}>
                <When at={attempt.startedAt} />: {attempt.error ? attempt.error.message : 'went through'}
              </li>
            ))}
          </ol>
        </details>
      )}
    </div>
  );
}
