import { requireAccess } from '../../access/principal.ts';
import { DailiesError } from '../../error.ts';
import { nearestName } from '../nearest-name.ts';
import type { Scope } from '../scope.ts';
import { type PipelineSummary, summarizePipeline } from './list.ts';
import { isOpenReplay, readReplay } from './replay-record.ts';
import { replayText } from './replay-text.ts';

export interface PipelineDetail extends PipelineSummary {
  /** As in the definition, secrets as references. */
  spec: unknown;
  /** The last replay that was asked for, in words; null for none. */
  replay: { isOpen: boolean; text: string } | null;
}

export async function getPipeline(scope: Scope, name: string): Promise<PipelineDetail> {
  requireAccess(scope.who, 'pipeline.read', 'see pipelines');
  const { state } = scope;
  const [pipeline, sources, deadLetters] = await Promise.all([
    state.pipeline.findUnique({ where: { name }, include: { sinks: { orderBy: { target: 'asc' } } } }),
    state.source.findMany({ select: { name: true, position: true, coveredAt: true } }),
    state.deadLetter.count({ where: { pipelineName: name, resolvedAt: null } }),
  ]);
  if (pipeline === null) throw await unknownPipeline(scope, name);
  const sourceOf = new Map(sources.map((source) => [source.name, source]));
  const replay = readReplay(pipeline.replay);
  return {
    ...summarizePipeline(pipeline, sourceOf, deadLetters),
    spec: pipeline.spec,
    replay: replay && { isOpen: isOpenReplay(replay), text: replayText(replay) },
  };
}

export async function unknownPipeline({ state }: Pick<Scope, 'state'>, name: string): Promise<DailiesError> {
  const pipelines = await state.pipeline.findMany({ select: { name: true } });
  const near = nearestName(
    name,
    pipelines.map((pipeline) => pipeline.name),
  );
  return new DailiesError(
    'not_found',
    `There is no pipeline ${name}.${near === null ? '' : ` Did you mean ${near}?`}`,
    {
      details: { pipeline: name },
    },
  );
}
