'use client';

import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { api } from '../components/api.ts';
import { EmptyState } from '../components/empty-state.tsx';
import { Failure } from '../components/failure.tsx';
import { ListTable } from '../components/list-table.tsx';
import { Loading } from '../components/loading.tsx';
import { counted } from '../components/numbers.ts';
import { Page, PageHeader, Sentence } from '../components/page-header.tsx';
import { pathOf } from '../components/paths.ts';
import { destinationName, ScheduleSentence } from '../components/report-words.tsx';
import { useWho } from '../components/session.tsx';
import { StateBadge } from '../components/state-badge.tsx';
import { When } from '../components/when.tsx';

export default function ReportsPage() {
  const who = useWho();
  const reports = useQuery({
    queryKey: ['reports', 'list'],
    queryFn: ({ signal }) => api.reports.list.query(undefined, { signal }),
    refetchInterval: 3000,
  });
  const failed = reports.data?.filter((report) => report.lastRun?.state === 'failed').length ?? 0;
  return (
    <Page>
      <PageHeader
        title="Reports"
        sentence={
          reports.data && (
            <Sentence
              parts={[
                counted(reports.data.length, 'report'),
                failed > 0
                  ? `the last run of ${counted(failed, 'report')} failed`
                  : reports.data.length > 0 && 'every last run went well',
              ]}
            />
          )
        }
        actions={
          who.mayWriteReports && (
            <Button
              component={Link}
              href="/reports/new"
              variant="filled"
              leftSection={<IconPlus size={15} aria-hidden />}
            >
              New report
            </Button>
          )
        }
      />
      {reports.isPending && <Loading what="the reports" />}
      {reports.error && !reports.data && <Failure error={reports.error} retry={() => reports.refetch()} />}
      {reports.data?.length === 0 && (
        <EmptyState title="There is no report yet" action={<Link href="/sql">Write SQL</Link>}>
          A report is a saved query that runs on a schedule, or when its tables have new data, and keeps a Google Sheet,
          an Airtable base or a file current.
        </EmptyState>
      )}
      {reports.data && reports.data.length > 0 && (
        <ListTable
          label="Reports"
          rows={reports.data}
          rowKey={(report) => report.name}
          columns={[
            {
              head: 'Report',
              cell: (report) => (
                <Link href={pathOf.report(report.name)} style={{ fontWeight: 550 }}>
                  {report.title ?? report.name}
                </Link>
              ),
            },
            {
              head: 'State',
              width: '120px',
              cell: (report) => (
                <StateBadge
                  state={report.isPaused ? 'paused' : runState(report.lastRun?.state)}
                  word={report.isPaused || report.lastRun ? undefined : 'Not run yet'}
                />
              ),
            },
            { head: 'Runs', cell: (report) => <ScheduleSentence report={report} />, isExtra: true },
            {
              head: 'Goes to',
              isExtra: true,
              cell: (report) =>
                report.deliveries.length === 0
                  ? 'read here'
                  : report.deliveries.map((delivery) => destinationName(delivery.kind)).join(', '),
            },
            { head: 'Last run', width: '110px', cell: (report) => <When at={report.lastRun?.createdAt} /> },
            { head: 'Owner', cell: (report) => report.owner, isExtra: true },
          ]}
        />
      )}
    </Page>
  );
}

function runState(state: string | undefined): string {
  if (state === undefined) return 'unknown';
  return state === 'running' ? 'delivering' : state;
}
