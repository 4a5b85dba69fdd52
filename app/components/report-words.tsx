'use client';

import type { Answers } from './api.ts';
import { cronSentence } from './cron-sentence.ts';
import { count, counted } from './numbers.ts';
import { duration, When } from './when.tsx';

type Report = Answers['reports']['list'][number];
type Run = NonNullable<Report['lastRun']>;
type Destination = Run['destinations'][number];

/** When a report runs, in words: "At 09:00, Monday through Friday, Los Angeles · next in 3 h". */
export function ScheduleSentence({ report }: { report: Pick<Report, 'schedule' | 'isPaused' | 'nextRunAt'> }) {
  const { schedule } = report;
  if (schedule === null) return <>runs when somebody asks</>;
  const paused = report.isPaused ? ', paused' : '';
  if ('onNewData' in schedule) {
    return (
      <>
        runs when {schedule.onNewData.join(' or ')} has new data{paused}
      </>
    );
  }
  return (
    <>
      {lowerFirst(cronSentence(schedule.cron) ?? schedule.cron)}, {placeOf(schedule.zone)}
      {paused}
      {report.nextRunAt && !report.isPaused && (
        <>
          {' · next run '}
          <NextRun at={report.nextRunAt} zone={schedule.zone} />
        </>
      )}
    </>
  );
}

/** "today 09:00", "Thu 26 Nov 09:00", on the clock of the schedule's own zone. */
function NextRun({ at, zone }: { at: Date; zone: string }) {
  const dayOf = (instant: Date) =>
    new Intl.DateTimeFormat('en-GB', { timeZone: zone, dateStyle: 'short' }).format(instant);
  const day = new Intl.DateTimeFormat('en-GB', { timeZone: zone, weekday: 'short', day: 'numeric', month: 'short' });
  const clock = new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' });
  const date = dayOf(at) === dayOf(new Date()) ? 'today' : day.format(at).replace(',', '');
  return <When at={at} shown={`${date} ${clock.format(at)}`} />;
}

/** How the last run went: "3 added, 12 changed, 0 removed, 6 s, 4 requests". */
export function RunSentence({ run }: { run: Run }) {
  switch (run.state) {
    case 'queued':
      return <>waiting to run</>;
    case 'running':
      return <>running{run.attempts.length > 1 && `, attempt ${run.attempts.length}`}</>;
    case 'failed':
      return (
        <>
          failed <When at={run.endedAt ?? run.createdAt} />: {run.error?.message ?? 'no reason was given'}
        </>
      );
    default:
      return (
        <>
          {run.state === 'partial' ? 'delivered in part ' : 'last run '}
          <When at={run.endedAt ?? run.createdAt} />
          {run.rows !== null && `, ${counted(run.rows, 'row')}`}
          {run.startedAt && run.endedAt && `, ${duration(run.endedAt.getTime() - run.startedAt.getTime())}`}
        </>
      );
  }
}

/** What one delivery did. */
export function deliveryWords(destination: Destination): string {
  const { delivered, added, changed, removed, written } = destination;
  const moved = added + changed + removed;
  if (moved === 0 && written === 0) return `${counted(delivered, 'row')}, nothing to change`;
  return `${count(added)} added, ${count(changed)} changed, ${count(removed)} removed, ${counted(written, 'request')}`;
}

const kinds: Record<string, string> = {
  'google-sheets': 'Google Sheet',
  airtable: 'Airtable',
  file: 'File',
};

export function destinationName(kind: string): string {
  return kinds[kind] ?? kind;
}

/** "America/Los_Angeles" as people say it. */
function placeOf(zone: string): string {
  return zone.slice(zone.lastIndexOf('/') + 1).replaceAll('_', ' ');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
