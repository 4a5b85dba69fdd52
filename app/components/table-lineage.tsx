'use client';

import { useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { type Answers, api } from './api.ts';
import { Failure } from './failure.tsx';
import { FlowGraph } from './flow-graph.tsx';
import { ListTable } from './list-table.tsx';
import { Loading } from './loading.tsx';
import { Section } from './page-header.tsx';
import { pathOf } from './paths.ts';

type LineageNode = Answers['tables']['lineage']['nodes'][number];

const kinds: Record<LineageNode['kind'], string> = {
  'source-table': 'source table',
  pipeline: 'pipeline',
  table: 'table',
  report: 'report',
  destination: 'destination',
};

export function TableLineage({ name }: { name: string }) {
  const lineage = useQuery({
    queryKey: ['tables', 'lineage', name],
    queryFn: ({ signal }) => api.tables.lineage.query({ name }, { signal }),
  });
  if (lineage.isPending) return <Loading what={`where ${name} comes from`} />;
  if (!lineage.data) return <Failure error={lineage.error} retry={() => lineage.refetch()} />;
  const { edges } = lineage.data;
  const order = Object.keys(kinds);
  const nodes = [...lineage.data.nodes].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const nameOf = new Map(nodes.map((node) => [node.id, node.name]));
  return (
    <>
      <FlowGraph
        label={`Where ${name} comes from and goes`}
        nodes={nodes.map((node) => ({
          id: node.id,
          kind: kinds[node.kind],
          title: node.name,
          detail: node.detail ?? undefined,
          href: node.kind === 'table' && node.name === name ? undefined : hrefOf(node),
          isHere: node.kind === 'table' && node.name === name,
          tone: node.detail === 'failed' ? 'bad' : node.detail === 'paused' ? 'warn' : undefined,
        }))}
        edges={edges}
      />
      <Section title="The same as a list">
        <ListTable
          label={`Lineage of ${name}`}
          rows={nodes}
          rowKey={(node) => node.id}
          columns={[
            { head: 'Kind', cell: (node) => kinds[node.kind], width: '120px' },
            {
              head: 'Name',
              cell: (node) => {
                const href = hrefOf(node);
                return href ? <Link href={href}>{node.name}</Link> : node.name;
              },
            },
            {
              head: 'Feeds',
              cell: (node) =>
                edges
                  .filter((edge) => edge.from === node.id)
                  .map((edge) => nameOf.get(edge.to))
                  .join(', '),
            },
          ]}
        />
      </Section>
    </>
  );
}

function hrefOf(node: LineageNode): string | undefined {
  switch (node.kind) {
    case 'pipeline':
      return pathOf.pipeline(node.name);
    case 'table':
      return pathOf.table(node.name);
    case 'report':
      return pathOf.report(node.name);
    default:
      return undefined;
  }
}
