'use client';

import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconSparkles } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { type Answers, api, problemOf } from './api.ts';
import { EmptyState } from './empty-state.tsx';
import { Failure } from './failure.tsx';
import { ListTable } from './list-table.tsx';
import { Loading } from './loading.tsx';
import { bytes, count, counted } from './numbers.ts';
import { useWho } from './session.tsx';
import { RunBadge } from './state-badge.tsx';
import css from './table-maintenance.module.css';
import { duration, When } from './when.tsx';

type Maintenance = Answers['tables']['maintenance'];
type Run = Maintenance['runs'][number];
type Setting = Maintenance['settings'][number];

/** How the table's files and history stand, what maintenance did last, and when it looks again. */
export function TableMaintenance({ name }: { name: string }) {
  const maintenance = useQuery({
    queryKey: ['tables', 'maintenance', name],
    queryFn: ({ signal }) => api.tables.maintenance.query({ name }, { signal }),
    refetchInterval: 3000,
  });
  if (maintenance.isPending) return <Loading what={`the maintenance of ${name}`} />;
  if (!maintenance.data) return <Failure error={maintenance.error} retry={() => maintenance.refetch()} />;
  const { figures, runs, settings } = maintenance.data;
  return (
    <>
      <div className={css.head}>
        {figures ? <Figures figures={figures} /> : <p className="dim">Nothing was looked at yet.</p>}
        <MaintainNow name={name} isBusy={runs.some((run) => run.state === 'queued' || run.state === 'running')} />
      </div>
      {figures?.problems.map((problem) => (
        <p key={problem} role="status">
          {problem}
        </p>
      ))}
      {runs.length === 0 ? (
        <EmptyState title="Nothing needed doing yet">
          Small files are joined, old states let go and left-over files removed by itself.
        </EmptyState>
      ) : (
        <ListTable
          label={`Maintenance of ${name}`}
          rows={runs}
          rowKey={(run) => run.id}
          columns={[
            { head: 'When', cell: (run) => <When at={run.endedAt ?? run.createdAt} />, width: '130px' },
            { head: 'State', cell: (run) => <RunBadge state={run.state} />, width: '110px' },
            { head: 'What was done', cell: (run) => story(run) },
            { head: 'Took', align: 'right', cell: (run) => took(run), width: '120px' },
            { head: 'Asked for by', cell: (run) => run.requestedBy ?? 'itself', isExtra: true },
          ]}
        />
      )}
      <Settings settings={settings} />
    </>
  );
}

function Figures({ figures }: { figures: NonNullable<Maintenance['figures']> }) {
  const { nextDue } = figures;
  const shown: [string, ReactNode][] = [
    ['Data files', count(figures.dataFiles)],
    ['Delete files', count(figures.deleteFiles)],
    ['Size', bytes(figures.bytes)],
    ['States kept', count(figures.snapshots)],
    ['Metadata', bytes(figures.metadataBytes)],
    ['Every state since', <When key="whole" at={dateOf(figures.wholeSince)} />],
    ['Oldest state', <When key="oldest" at={dateOf(figures.oldestAsOf)} />],
    ['Next look', <When key="next" at={dateOf(nextDue.expiry)} none="switched off" />],
    ['Next search for left-over files', <When key="orphans" at={dateOf(nextDue.orphans)} none="switched off" />],
  ];
  return (
    <dl className={css.figures}>
      {shown.map(([term, value]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function MaintainNow({ name, isBusy }: { name: string; isBusy: boolean }) {
  const who = useWho();
  const client = useQueryClient();
  const maintain = useMutation({
    mutationFn: () => api.tables.maintain.mutate({ name }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['tables', 'maintenance', name] }),
    onError: (error) => notifications.show({ color: 'red', message: problemOf(error).message }),
  });
  if (!who.mayWritePipelines) return null;
  return (
    <Button
      leftSection={<IconSparkles size={15} aria-hidden />}
      loading={maintain.isPending || isBusy}
      onClick={() => maintain.mutate()}
    >
      Maintain now
    </Button>
  );
}

function Settings({ settings }: { settings: readonly Setting[] }) {
  return (
    <details className={css.settings}>
      <summary>Settings, as table properties</summary>
      <ListTable
        label="Settings"
        rows={settings}
        rowKey={(setting) => setting.key}
        columns={[
          { head: 'Property', cell: (setting) => <span className="mono">{setting.key}</span> },
          { head: 'Value', align: 'right', cell: (setting) => shownValue(setting) },
          { head: 'Set here', cell: (setting) => (setting.isSet ? 'yes' : 'no') },
          { head: 'What it does', cell: (setting) => setting.meaning, isExtra: true },
        ]}
      />
    </details>
  );
}

/** What a run did, in plain words. */
function story({ result, error, state }: Run): string {
  if (error) return error.message;
  const { compaction, expiry, orphans, notes = [] } = result;
  const parts: string[] = [];
  if (compaction) {
    parts.push(
      `${counted(compaction.files, 'file')} joined into ${count(compaction.newFiles)}${
        compaction.droppedRows > 0 ? `, ${counted(compaction.droppedRows, 'deleted row')} dropped` : ''
      }`,
    );
  }
  if (expiry && expiry.snapshots > 0) {
    parts.push(`${counted(expiry.snapshots, 'old state')} let go, ${counted(expiry.files, 'file')} to be deleted`);
  }
  if (expiry && expiry.tags > 0) parts.push(`${counted(expiry.tags, 'state')} kept as history`);
  if (orphans && orphans.removed > 0) {
    parts.push(`${counted(orphans.removed, 'left-over file')} removed (${bytes(orphans.removedBytes)})`);
  }
  parts.push(...(expiry?.notes ?? []), ...notes);
  if (parts.length > 0) return parts.join('; ');
  return state === 'succeeded' ? 'nothing needed doing' : '';
}

/** What happens by itself is told together: the time from the first of it to the last. */
function took({ startedAt, endedAt, requestedBy }: Run): string {
  if (!startedAt || !endedAt) return '';
  const time = duration(endedAt.getTime() - startedAt.getTime());
  return requestedBy === null ? `within ${time}` : time;
}

function shownValue({ key, value }: Setting): string {
  const number = Number(value);
  if (value === 'Infinity') return 'no limit';
  if (!Number.isFinite(number) || value === 'true' || value === 'false') return value;
  if (key.endsWith('-ms')) return number >= 86_400_000 ? counted(number / 86_400_000, 'day') : duration(number);
  if (!Number.isInteger(number)) return value;
  return /bytes/.test(key) ? bytes(number) : count(number);
}

function dateOf(iso: string | null): Date | null {
  return iso === null ? null : new Date(iso);
}
