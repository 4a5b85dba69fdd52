'use client';

import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconPlayerPause, IconPlayerPlay, IconRotateClockwise } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import Link from 'next/link';
import { useState } from 'react';
import { type Answers, api, problemOf } from '../../components/api.ts';
import { DeadLetters } from '../../components/dead-letters.tsx';
import { Failure, StoredFailure } from '../../components/failure.tsx';
import { FlowGraph } from '../../components/flow-graph.tsx';
import { ListTable } from '../../components/list-table.tsx';
import { Loading } from '../../components/loading.tsx';
import { count, counted } from '../../components/numbers.ts';
import { Page, PageHeader, Section, Sentence } from '../../components/page-header.tsx';
import { pathOf } from '../../components/paths.ts';
import { pipelineFlow } from '../../components/pipeline-flow.ts';
import { adviceFor, lagWords, pipelineState } from '../../components/pipeline-words.ts';
import { ReplayPipeline } from '../../components/replay-pipeline.tsx';
import { useWho } from '../../components/session.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import { useParam } from '../../components/use-param.ts';
import { useNow, When } from '../../components/when.tsx';
import css from './pipeline.module.css';

type Pipeline = Answers['pipelines']['get'];

export default function PipelinePage() {
  const name = useParam('pipeline');
  const [isLive, setLive] = useState(true);
  const pipeline = useQuery({
    queryKey: ['pipelines', 'get', name],
    queryFn: ({ signal }) => api.pipelines.get.query({ name }, { signal }),
    refetchInterval: isLive ? 1000 : false,
  });
  if (pipeline.isPending) return <Loading what={name} />;
  if (!pipeline.data) {
    return (
      <Page>
        <PageHeader title={name} />
        <Failure error={pipeline.error} retry={() => pipeline.refetch()} />
      </Page>
    );
  }
  const { data } = pipeline;
  return (
    <Page>
      <PageHeader
        title={
          <>
            {data.name} <StateBadge {...pipelineState(data)} />
          </>
        }
        sentence={<Headline pipeline={data} />}
        actions={<PipelineActions pipeline={data} />}
      />
      {data.lastError && (
        <StoredFailure
          what={
            data.state === 'failed'
              ? 'The pipeline stands. Nothing is lost: it goes on where it stood once this is mended.'
              : data.sinks.some(({ state }) => state === 'failed')
                ? 'A table is set aside; the others go on. Nothing is lost: once this is mended, let it be tried again.'
                : 'The last trouble it met:'
          }
          error={{ ...data.lastError, advice: adviceFor(data.lastError.code) }}
        />
      )}
      {data.replay && <p className="dim">{`Replay: ${data.replay.text}`}</p>}
      <Section
        title="The way of the data"
        aside={
          <button type="button" className={css.live} aria-pressed={!isLive} onClick={() => setLive(!isLive)}>
            {isLive ? 'Pause live figures' : 'Show live figures'}
          </button>
        }
      >
        <FlowWithConfiguration pipeline={data} />
      </Section>
      <Section title="Where it lands">
        <Sinks pipeline={data} />
      </Section>
      <div id="rejected">
        <Section
          title="Events that could not be carried on"
          aside={data.deadLetters > 0 ? counted(data.deadLetters, 'event') : undefined}
        >
          <DeadLetters pipeline={data.name} known={data.deadLetters} />
        </Section>
      </div>
    </Page>
  );
}

function Headline({ pipeline }: { pipeline: Pipeline }) {
  const now = useNow(1000);
  return (
    <Sentence
      parts={[
        `${count(Math.round(pipeline.eventsPerSecond * 10) / 10)} changes a second`,
        `lag ${lagWords(pipeline.freshAsOf, now)}`,
        `${count(pipeline.deadLetters)} rejected`,
        counted(pipeline.rows, 'row'),
        pipeline.owner ? `owned by ${pipeline.owner}` : 'nobody owns it yet',
      ]}
    />
  );
}

/** The graph, and the configuration of the part that is chosen; the select beside it is the same for the keyboard. */
function FlowWithConfiguration({ pipeline }: { pipeline: Pipeline }) {
  const { nodes, edges, configurations } = pipelineFlow(pipeline);
  const [chosen, setChosen] = useState<string | null>(null);
  const configuration = chosen === null ? undefined : configurations.get(chosen);
  return (
    <>
      <FlowGraph
        label={`From the sources of ${pipeline.name} to its tables`}
        nodes={nodes}
        edges={edges}
        selected={chosen}
        onSelect={setChosen}
      />
      <div className={css.parts} role="toolbar" aria-label="Parts of the pipeline">
        {nodes.map((node) => (
          <button
            key={node.id}
            type="button"
            className={css.part}
            aria-pressed={node.id === chosen}
            onClick={() => setChosen(node.id === chosen ? null : node.id)}
          >
            {node.kind} {node.title === node.kind ? '' : node.title}
            {node.detail && <span className="dim"> · {node.detail}</span>}
          </button>
        ))}
      </div>
      {configuration !== undefined && <pre className={css.configuration}>{configuration}</pre>}
    </>
  );
}

function Sinks({ pipeline }: { pipeline: Pipeline }) {
  if (pipeline.sinks.length === 0) {
    return <p className="dim">Nowhere yet: its targets appear here once the worker has taken it up.</p>;
  }
  return (
    <ListTable
      label={`Targets of ${pipeline.name}`}
      rows={pipeline.sinks}
      rowKey={(sink) => `${sink.kind}/${sink.target}`}
      columns={[
        {
          head: 'Target',
          cell: (sink) =>
            sink.kind === 'iceberg' ? <Link href={pathOf.table(sink.target)}>{sink.target}</Link> : sink.target,
        },
        { head: 'State', width: '110px', cell: (sink) => <StateBadge state={sink.state} /> },
        { head: 'Rows', align: 'right', cell: (sink) => count(sink.rows) },
        { head: 'Last commit', cell: (sink) => <When at={sink.committedAt} /> },
        { head: 'Fresh as of', cell: (sink) => <When at={sink.freshAsOf} none="not yet" /> },
        { head: 'What happened', cell: (sink) => sink.lastError?.message, isExtra: true },
      ]}
    />
  );
}

function PipelineActions({ pipeline }: { pipeline: Pipeline }) {
  const who = useWho();
  const client = useQueryClient();
  const [isReplayOpen, setReplayOpen] = useState(false);
  const { name } = pipeline;
  const isStanding = pipeline.state === 'failed' || pipeline.desired === 'paused';
  const isPartial = !isStanding && pipeline.sinks.some(({ state }) => state === 'failed');
  const change = useMutation({
    mutationFn: (verb: 'pause' | 'resume') => api.pipelines[verb].mutate({ name }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['pipelines'] }),
    onError: (error) => notifications.show({ color: 'red', message: problemOf(error).message }),
  });
  if (!who.mayWritePipelines) return null;
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconRotateClockwise size={15} aria-hidden />}
        disabled={pipeline.state === 'failed'}
        onClick={() => setReplayOpen(true)}
      >
        Replay…
      </Button>
      {!isStanding && (
        <Button
          variant="default"
          leftSection={<IconPlayerPause size={15} aria-hidden />}
          loading={change.isPending}
          onClick={() => change.mutate('pause')}
        >
          Pause pipeline
        </Button>
      )}
      {(isStanding || isPartial) && (
        <Button
          leftSection={<IconPlayerPlay size={15} aria-hidden />}
          loading={change.isPending}
          onClick={() => change.mutate('resume')}
        >
          {isPartial ? 'Try what is set aside again' : 'Resume pipeline'}
        </Button>
      )}
      <ReplayPipeline name={name} opened={isReplayOpen} onClose={() => setReplayOpen(false)} />
    </>
  );
}
