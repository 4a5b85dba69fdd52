'use client';

import '@xyflow/react/dist/style.css';
import dagre from '@dagrejs/dagre';
import { useComputedColorScheme } from '@mantine/core';
import {
  Background,
  Controls,
  type Edge,
  Handle,
  MarkerType,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
} from '@xyflow/react';
import Link from 'next/link';
import { useMemo } from 'react';
import css from './flow-graph.module.css';

export interface FlowNode {
  id: string;
  /** What kind of thing it is, in a word: source, filter, table, report. */
  kind: string;
  title: string;
  detail?: string | undefined;
  href?: string | undefined;
  /** good | warn | bad colours its edge; the detail says it in words. */
  tone?: 'good' | 'warn' | 'bad' | undefined;
  isHere?: boolean;
}

export interface FlowEdge {
  from: string;
  to: string;
  label?: string | undefined;
}

interface FlowGraphProps {
  label: string;
  nodes: readonly FlowNode[];
  edges: readonly FlowEdge[];
  selected?: string | null;
  onSelect?(id: string): void;
}

const size = { width: 184, height: 64 };
type CardNode = Node<{ node: FlowNode; isSelected: boolean }, 'card'>;
const nodeTypes = { card: Card };

/** A left-to-right graph. Every page that shows one has a list of the same beside it. */
export function FlowGraph({ label, nodes, edges, selected, onSelect }: FlowGraphProps) {
  const scheme = useComputedColorScheme('light');
  const shape = JSON.stringify([nodes.map((node) => node.id), edges.map((edge) => [edge.from, edge.to])]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: places change only when the shape does, not with each new figure
  const places = useMemo(() => layOut(nodes, edges), [shape]);
  const depth = Math.max(0, ...[...places.values()].map((place) => place.y)) + size.height;
  const height = Math.min(440, Math.max(150, depth + 72));
  const drawn: CardNode[] = nodes.map((node) => ({
    id: node.id,
    type: 'card',
    position: places.get(node.id) ?? { x: 0, y: 0 },
    data: { node, isSelected: node.id === selected },
    width: size.width,
    height: size.height,
    draggable: false,
    connectable: false,
    focusable: Boolean(onSelect),
  }));
  const lines: Edge[] = edges.map((edge) => ({
    id: `${edge.from}→${edge.to}`,
    source: edge.from,
    target: edge.to,
    label: edge.label,
    markerEnd: { type: MarkerType.ArrowClosed, width: 16, height: 16 },
    focusable: false,
  }));
  return (
    <section className={css.graph} style={{ height }} aria-label={label}>
      <ReactFlow
        key={shape}
        nodes={drawn}
        edges={lines}
        nodeTypes={nodeTypes}
        colorMode={scheme}
        fitView
        fitViewOptions={{ padding: 0.04, maxZoom: 1 }}
        minZoom={0.2}
        maxZoom={1.5}
        zoomOnScroll={false}
        preventScrolling={false}
        nodesConnectable={false}
        elementsSelectable={Boolean(onSelect)}
        proOptions={{ hideAttribution: true }}
        {...(onSelect ? { onNodeClick: (_event: unknown, node: CardNode) => onSelect(node.id) } : {})}
      >
        <Background gap={16} size={1} color="var(--line)" />
        <Controls showInteractive={false} orientation="horizontal" position="bottom-right" />
      </ReactFlow>
    </section>
  );
}

function Card({ data }: NodeProps<CardNode>) {
  const { node, isSelected } = data;
  return (
    <div
      className={css.card}
      data-tone={node.tone}
      data-here={node.isHere || undefined}
      data-selected={isSelected || undefined}
    >
      <Handle type="target" position={Position.Left} className={css.handle ?? ''} />
      <span className={css.kind}>{node.kind}</span>
      {node.href ? (
        <Link href={node.href} className={css.title} title={node.title}>
          {node.title}
        </Link>
      ) : (
        <span className={css.title} title={node.title}>
          {node.title}
        </span>
      )}
      {node.detail && <span className={css.detail}>{node.detail}</span>}
      <Handle type="source" position={Position.Right} className={css.handle ?? ''} />
    </div>
  );
}

function layOut(nodes: readonly FlowNode[], edges: readonly FlowEdge[]): Map<string, { x: number; y: number }> {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: 16, ranksep: 48 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { ...size });
  for (const edge of edges) graph.setEdge(edge.from, edge.to);
  dagre.layout(graph);
  return new Map(
    nodes.map((node) => {
      const { x, y } = graph.node(node.id) as { x: number; y: number };
      return [node.id, { x: x - size.width / 2, y: y - size.height / 2 }];
    }),
  );
}
