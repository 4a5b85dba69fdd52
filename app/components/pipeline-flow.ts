import { stringify } from 'yaml';
import type { Answers } from './api.ts';
import type { FlowEdge, FlowNode } from './flow-graph.tsx';
import { count, counted } from './numbers.ts';
import { pathOf } from './paths.ts';

type Pipeline = Answers['pipelines']['get'];

interface Flow {
  nodes: FlowNode[];
  edges: FlowEdge[];
  /** Node id → its part of the definition, as YAML. */
  configurations: Map<string, string>;
}

/** A pipeline as a graph: source tables → steps → targets, with what passed each. */
export function pipelineFlow(pipeline: Pipeline): Flow {
  const spec = pipeline.spec as { from?: unknown; steps?: unknown[]; to?: { kind?: string; table?: string }[] };
  const nodes: FlowNode[] = [];
  const edges: FlowEdge[] = [];
  const configurations = new Map<string, string>();
  const sources = pipeline.from.map((from) => {
    const id = `from:${from}`;
    nodes.push({ id, kind: 'source', title: from, detail: `${count(pipeline.eventsIn)} events in` });
    configurations.set(id, stringify({ from: spec.from }));
    return id;
  });
  let before = sources;
  for (const [index, step] of pipeline.steps.entries()) {
    const id = `step:${index}`;
    nodes.push({
      id,
      kind: step.name === step.kind ? 'step' : step.kind,
      title: step.name,
      detail: stepWords(step),
      tone: (step.rejected ?? 0) > 0 ? 'warn' : undefined,
    });
    configurations.set(id, stringify(spec.steps?.[index] ?? {}));
    for (const from of before) edges.push({ from, to: id, label: step.in === null ? undefined : count(step.in) });
    before = [id];
  }
  const targets = targetsOf(pipeline, spec.to ?? []);
  // Only the sum over all targets is known.
  const isOne = targets.length === 1;
  for (const [index, target] of targets.entries()) {
    const id = `to:${index}`;
    nodes.push({ id, ...target });
    configurations.set(id, stringify(spec.to ?? []));
    for (const from of before) edges.push({ from, to: id, label: isOne ? count(pipeline.eventsOut) : undefined });
  }
  return { nodes, edges, configurations };
}

function stepWords(step: Pipeline['steps'][number]): string | undefined {
  if (step.in === null || step.out === null) return undefined;
  const parts = [`${count(step.in)} in, ${count(step.out)} out`];
  if (step.rejected) parts.push(`${count(step.rejected)} rejected`);
  if (step.detail) parts.push(step.detail);
  return parts.join(' · ');
}

function targetsOf(pipeline: Pipeline, declared: readonly { kind?: string; table?: string }[]): Omit<FlowNode, 'id'>[] {
  if (pipeline.sinks.length > 0) {
    return pipeline.sinks.map((sink) => ({
      kind: sink.kind,
      title: sink.target,
      detail: counted(sink.rows, 'row'),
      href: sink.kind === 'iceberg' ? pathOf.table(sink.target) : undefined,
      tone: sink.state === 'failed' ? 'bad' : sink.state === 'running' ? 'good' : undefined,
    }));
  }
  return declared.map((target) => ({
    kind: target.kind ?? 'target',
    title: target.table ?? '',
    detail: 'not yet made',
  }));
}
