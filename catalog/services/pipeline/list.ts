import type { Pipeline, PipelineSink } from '#prisma/generated/client.ts';
import { requireAccess } from '../../access/principal.ts';
import type { ErrorRecord } from '../../error.ts';
import type { Scope } from '../scope.ts';
import { freshAsOf, type SourceProgress } from '../table/freshness.ts';

export interface PipelineSummary {
  name: string;
  owner: string | null;
  /** snapshotting | running | paused | failed: what it does. */
  state: string;
  /** running | paused: what people asked for. */
  desired: string;
  lastError: ErrorRecord | null;
  /** Patterns of source tables: source.schema.table. */
  from: string[];
  steps: PipelineStep[];
  sinks: PipelineTarget[];
  eventsIn: number;
  eventsOut: number;
  eventsRejected: number;
  eventsPerSecond: number;
  /** Dead letters that nobody has dealt with. */
  deadLetters: number;
  rows: number;
  freshAsOf: Date | null;
  updatedAt: Date;
}

export interface PipelineStep {
  name: string;
  kind: string;
  /** Events since the worker began; null before it ran. */
  in: number | null;
  out: number | null;
  rejected: number | null;
  detail: string | null;
}

export interface PipelineTarget {
  kind: string;
  target: string;
  state: string;
  rows: number;
  committedAt: Date | null;
  freshAsOf: Date | null;
  lastError: ErrorRecord | null;
}

export async function listPipelines(scope: Scope): Promise<PipelineSummary[]> {
  requireAccess(scope.who, 'pipeline.read', 'see pipelines');
  const { state } = scope;
  const [pipelines, sources, letters] = await Promise.all([
    state.pipeline.findMany({ include: { sinks: { orderBy: { target: 'asc' } } }, orderBy: { name: 'asc' } }),
    state.source.findMany({ select: { name: true, position: true, coveredAt: true } }),
    state.deadLetter.groupBy({ by: ['pipelineName'], where: { resolvedAt: null }, _count: true }),
  ]);
  const sourceOf = new Map(sources.map((source) => [source.name, source]));
  const letterCounts = new Map(letters.map((row) => [row.pipelineName, row._count]));
  return pipelines.map((pipeline) => summarizePipeline(pipeline, sourceOf, letterCounts.get(pipeline.name) ?? 0));
}

export function summarizePipeline(
  pipeline: Pipeline & { sinks: PipelineSink[] },
  sources: ReadonlyMap<string, SourceProgress>,
  deadLetters: number,
): PipelineSummary {
  const spec = pipeline.spec as { from?: string[]; steps?: { kind: string; name?: string }[] };
  const told = (Array.isArray(pipeline.steps) ? pipeline.steps : []) as unknown as Partial<PipelineStep>[];
  const sinks = pipeline.sinks.map((sink) => ({
    kind: sink.kind,
    target: sink.target,
    state: sink.state,
    rows: Number(sink.rows),
    committedAt: sink.committedAt,
    freshAsOf: freshAsOf(sink, sources),
    lastError: sink.lastError as ErrorRecord | null,
  }));
  const instants = sinks.flatMap((sink) => (sink.freshAsOf === null ? [] : [sink.freshAsOf.getTime()]));
  return {
    name: pipeline.name,
    owner: pipeline.owner,
    state: pipeline.state,
    desired: pipeline.desired,
    lastError: pipeline.lastError as ErrorRecord | null,
    from: spec.from ?? [],
    steps: (spec.steps ?? []).map((step, index) => ({
      name: step.name ?? step.kind,
      kind: step.kind,
      in: told[index]?.in ?? null,
      out: told[index]?.out ?? null,
      rejected: told[index]?.rejected ?? null,
      detail: told[index]?.detail ?? null,
    })),
    sinks,
    eventsIn: Number(pipeline.eventsIn),
    eventsOut: Number(pipeline.eventsOut),
    eventsRejected: Number(pipeline.eventsRejected),
    eventsPerSecond: pipeline.eventsPerSecond,
    deadLetters,
    rows: sinks.reduce((sum, sink) => sum + sink.rows, 0),
    freshAsOf: instants.length === 0 ? null : new Date(Math.min(...instants)),
    updatedAt: pipeline.updatedAt,
  };
}
