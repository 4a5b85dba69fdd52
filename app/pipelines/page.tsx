'use client';

import { useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { type Answers, api } from '../components/api.ts';
import { EmptyState } from '../components/empty-state.tsx';
import { Failure } from '../components/failure.tsx';
import { ListTable } from '../components/list-table.tsx';
import { Loading } from '../components/loading.tsx';
import { count, counted } from '../components/numbers.ts';
import { Page, PageHeader, Section, Sentence } from '../components/page-header.tsx';
import { pathOf } from '../components/paths.ts';
import { lagWords, pipelineState } from '../components/pipeline-words.ts';
import { SourceTrouble } from '../components/source-trouble.tsx';
import { StateBadge } from '../components/state-badge.tsx';
import { useNow, When } from '../components/when.tsx';

type Pipeline = Answers['pipelines']['list'][number];

export default function PipelinesPage() {
  const pipelines = useQuery({
    queryKey: ['pipelines', 'list'],
    queryFn: ({ signal }) => api.pipelines.list.query(undefined, { signal }),
    refetchInterval: 2000,
  });
  return (
    <Page>
      <PageHeader title="Pipelines" sentence={pipelines.data && <Summary pipelines={pipelines.data} />} />
      {pipelines.isPending && <Loading what="the pipelines" />}
      {pipelines.error && !pipelines.data && <Failure error={pipelines.error} retry={() => pipelines.refetch()} />}
      {pipelines.data?.length === 0 && (
        <EmptyState title="There is no pipeline yet">
          A pipeline brings a service's tables into the warehouse. Write one into a definition file and run{' '}
          <code>dailies apply FILE</code>.
        </EmptyState>
      )}
      {pipelines.data && pipelines.data.length > 0 && <PipelineTable pipelines={pipelines.data} />}
      <Section title="Sources">
        <Sources />
      </Section>
    </Page>
  );
}

function Summary({ pipelines }: { pipelines: readonly Pipeline[] }) {
  const of = (state: string) => pipelines.filter((pipeline) => pipeline.state === state).length;
  const rate = pipelines.reduce((sum, pipeline) => sum + pipeline.eventsPerSecond, 0);
  const letters = pipelines.reduce((sum, pipeline) => sum + pipeline.deadLetters, 0);
  return (
    <Sentence
      parts={[
        counted(pipelines.length, 'pipeline'),
        of('failed') > 0 && `${counted(of('failed'), 'has', 'have')} failed`,
        of('paused') > 0 && `${counted(of('paused'), 'is', 'are')} paused`,
        of('snapshotting') > 0 && `${counted(of('snapshotting'), 'copies', 'copy')} a first snapshot`,
        of('running') === pipelines.length && pipelines.length > 0 && 'all running',
        `${count(Math.round(rate * 10) / 10)} changes a second`,
        letters > 0 && `${counted(letters, 'event')} could not be carried on`,
      ]}
    />
  );
}

function PipelineTable({ pipelines }: { pipelines: readonly Pipeline[] }) {
  const now = useNow(1000);
  return (
    <ListTable
      label="Pipelines"
      rows={pipelines}
      rowKey={(pipeline) => pipeline.name}
      columns={[
        {
          head: 'Pipeline',
          cell: (pipeline) => (
            <Link href={pathOf.pipeline(pipeline.name)} style={{ fontWeight: 550 }}>
              {pipeline.name}
            </Link>
          ),
        },
        { head: 'State', width: '110px', cell: (pipeline) => <StateBadge {...pipelineState(pipeline)} /> },
        { head: 'From', isExtra: true, cell: (pipeline) => <span className="dim">{pipeline.from.join(', ')}</span> },
        {
          head: 'Changes / s',
          align: 'right',
          cell: (pipeline) => count(Math.round(pipeline.eventsPerSecond * 10) / 10),
        },
        { head: 'Lag', align: 'right', cell: (pipeline) => lagWords(pipeline.freshAsOf, now) },
        { head: 'Rows', align: 'right', cell: (pipeline) => count(pipeline.rows), isExtra: true },
        {
          head: 'Rejected',
          align: 'right',
          cell: (pipeline) =>
            pipeline.deadLetters > 0 ? (
              <Link href={`${pathOf.pipeline(pipeline.name)}#rejected`}>{count(pipeline.deadLetters)}</Link>
            ) : (
              '0'
            ),
        },
        { head: 'Owner', cell: (pipeline) => pipeline.owner ?? <span className="dim">nobody</span>, isExtra: true },
      ]}
    />
  );
}

function Sources() {
  const sources = useQuery({
    queryKey: ['pipelines', 'sources'],
    queryFn: ({ signal }) => api.pipelines.sources.query(undefined, { signal }),
    refetchInterval: 3000,
  });
  if (sources.isPending) return <Loading what="the sources" rows={3} />;
  if (!sources.data) return <Failure error={sources.error} retry={() => sources.refetch()} />;
  if (sources.data.length === 0) {
    return <p className="dim">No database is connected. A definition file names them under “sources”.</p>;
  }
  return (
    <ListTable
      label="Sources"
      rows={sources.data}
      rowKey={(source) => source.name}
      columns={[
        { head: 'Source', cell: (source) => <strong>{source.name}</strong> },
        { head: 'State', width: '110px', cell: (source) => <StateBadge state={source.state} /> },
        { head: 'Kind', cell: (source) => source.kind, isExtra: true },
        {
          head: 'Tables',
          cell: (source) => {
            const copying = source.tables.filter((table) => table.state === 'snapshotting').length;
            return (
              <>
                {counted(source.tables.length, 'table')}
                {copying > 0 && `, ${count(copying)} being copied`}
              </>
            );
          },
        },
        { head: 'Held up to', cell: (source) => <When at={source.coveredAt} none="not yet" /> },
        {
          head: 'What happened',
          cell: (source) => <SourceTrouble source={source} />,
        },
      ]}
    />
  );
}
