'use client';

import { Button, Menu, Modal } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconDatabase, IconDots, IconPencil, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useState } from 'react';
import { type Answers, api, problemOf } from '../../components/api.ts';
import { Failure, StoredFailure } from '../../components/failure.tsx';
import { Loading } from '../../components/loading.tsx';
import { Page, PageHeader, Section, Sentence } from '../../components/page-header.tsx';
import { pathOf } from '../../components/paths.ts';
import { ReportDeliveries } from '../../components/report-deliveries.tsx';
import { draftOf, ReportForm } from '../../components/report-form.tsx';
import { ReportRuns } from '../../components/report-runs.tsx';
import { RunSentence, ScheduleSentence } from '../../components/report-words.tsx';
import { useWho } from '../../components/session.tsx';
import { RunBadge, StateBadge } from '../../components/state-badge.tsx';
import { useParam } from '../../components/use-param.ts';
import css from './report.module.css';

type Report = Answers['reports']['get'];

export default function ReportPage() {
  const name = useParam('report');
  const [isEditing, setEditing] = useState(false);
  const report = useQuery({
    queryKey: ['reports', 'get', name],
    queryFn: ({ signal }) => api.reports.get.query({ name }, { signal }),
    refetchInterval: (query) => (isBusy(query.state.data) ? 700 : 3000),
  });
  if (report.isPending) return <Loading what={name} />;
  if (!report.data) {
    return (
      <Page>
        <PageHeader title={name} />
        <Failure error={report.error} retry={() => report.refetch()} />
      </Page>
    );
  }
  const { data } = report;
  const failed = data.lastRun?.state === 'failed' ? data.lastRun : null;
  return (
    <Page>
      <PageHeader
        title={
          <>
            {data.title ?? data.name}{' '}
            {data.isPaused ? <StateBadge state="paused" /> : data.lastRun && <RunBadge state={data.lastRun.state} />}
          </>
        }
        sentence={
          <Sentence
            parts={[
              data.title && <span className="mono">{data.name}</span>,
              <ScheduleSentence key="when" report={data} />,
              `owned by ${data.owner}`,
              data.lastRun && data.lastRun.state !== 'failed' && <RunSentence key="run" run={data.lastRun} />,
            ]}
          />
        }
        actions={<ReportActions report={data} onEdit={() => setEditing(true)} />}
      />
      {failed && (
        <StoredFailure
          what="The last run failed. What was delivered before stays as it is."
          error={failed.error ?? { code: 'internal', message: 'It gave no reason.' }}
        />
      )}
      <Section title="Where the rows go">
        <ReportDeliveries report={data} />
      </Section>
      <Section
        title="SQL"
        aside={<Link href={`${pathOf.sql(data.sql)}&name=${encodeURIComponent(data.name)}`}>Open in the editor</Link>}
      >
        <pre className={css.sql}>{data.sql}</pre>
        <ReadsAndParameters report={data} />
      </Section>
      <Section title="Runs">
        <ReportRuns runs={data.runs} />
      </Section>
      <Modal opened={isEditing} onClose={() => setEditing(false)} title={`Edit ${data.name}`} size="xl">
        <ReportForm
          isExisting
          initial={draftOf(data)}
          onSaved={() => {
            setEditing(false);
            notifications.show({ message: 'The changes are saved.' });
          }}
        />
      </Modal>
    </Page>
  );
}

function isBusy(report: Report | undefined): boolean {
  return report?.lastRun?.state === 'queued' || report?.lastRun?.state === 'running';
}

function ReadsAndParameters({ report }: { report: Report }) {
  const parameters = Object.entries(report.parameters);
  return (
    <p className={css.reads}>
      {report.reads.length === 0 ? (
        'It reads no table.'
      ) : (
        <>
          It reads{' '}
          {report.reads.map((table, index) => (
            <span key={table}>
              {index > 0 && ', '}
              <Link href={pathOf.table(table)}>{table}</Link>
            </span>
          ))}
          .
        </>
      )}
      {parameters.map(([name, parameter]) => (
        <span key={name}>
          {' '}
          <code>:{name}</code> is a {parameter.type}
          {parameter.default !== undefined && parameter.default !== null && `, usually ${String(parameter.default)}`}.
        </span>
      ))}
    </p>
  );
}

function ReportActions({ report, onEdit }: { report: Report; onEdit(): void }) {
  const who = useWho();
  const client = useQueryClient();
  const router = useRouter();
  const [isRemoving, setRemoving] = useState(false);
  const { name } = report;
  const settle = () => client.invalidateQueries({ queryKey: ['reports'] });
  const onError = (error: unknown) => notifications.show({ color: 'red', message: problemOf(error).message });
  const run = useMutation({ mutationFn: () => api.reports.run.mutate({ name }), onSuccess: settle, onError });
  const pause = useMutation({
    mutationFn: () => api.reports.setPaused.mutate({ name, isPaused: !report.isPaused }),
    onSuccess: settle,
    onError,
  });
  const remove = useMutation({
    mutationFn: () => api.reports.remove.mutate({ name }),
    onSuccess: async () => {
      await settle();
      router.push('/reports');
    },
    onError,
  });
  if (!who.mayWriteReports) return null;
  return (
    <>
      <Button
        variant="filled"
        leftSection={<IconPlayerPlay size={15} aria-hidden />}
        loading={run.isPending}
        disabled={isBusy(report)}
        onClick={() => run.mutate()}
      >
        {isBusy(report) ? 'Running' : 'Run now'}
      </Button>
      {report.mayWrite && (
        <>
          {report.schedule !== null && (
            <Button
              leftSection={
                report.isPaused ? <IconPlayerPlay size={15} aria-hidden /> : <IconPlayerPause size={15} aria-hidden />
              }
              loading={pause.isPending}
              onClick={() => pause.mutate()}
            >
              {report.isPaused ? 'Resume' : 'Pause'}
            </Button>
          )}
          <Button leftSection={<IconPencil size={15} aria-hidden />} onClick={onEdit}>
            Edit
          </Button>
          <Menu>
            <Menu.Target>
              <Button px={8} aria-label="More">
                <IconDots size={16} aria-hidden />
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item
                component={Link}
                href={`${pathOf.sql(report.sql)}&name=${encodeURIComponent(name)}`}
                leftSection={<IconDatabase size={15} />}
              >
                Edit SQL in the editor
              </Menu.Item>
              <Menu.Item color="red" leftSection={<IconTrash size={15} />} onClick={() => setRemoving(true)}>
                Remove report
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </>
      )}
      <Modal opened={isRemoving} onClose={() => setRemoving(false)} title={`Remove ${name}?`}>
        <p style={{ marginTop: 0 }}>
          It runs no more and its runs are forgotten. What it has delivered to sheets, bases and files stays there.
        </p>
        <Button color="red" variant="filled" loading={remove.isPending} onClick={() => remove.mutate()}>
          Remove report
        </Button>
      </Modal>
    </>
  );
}
