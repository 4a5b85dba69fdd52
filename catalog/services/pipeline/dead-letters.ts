import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';
import { unknownPipeline } from './get.ts';

export interface DeadLetterSummary {
  id: string;
  step: string;
  /** source.schema.table */
  table: string;
  /** The event's key as text for people. */
  key: unknown;
  code: string;
  reason: string;
  at: Date;
}

/** Newest first; `before` is the id of the last one of the page before. */
export async function listDeadLetters(
  scope: Scope,
  pipeline: string,
  page: { before?: string | undefined; limit?: number | undefined } = {},
): Promise<{ letters: DeadLetterSummary[]; next: string | null }> {
  requireAccess(scope.who, 'pipeline.write', 'see the events that a pipeline could not carry on');
  const limit = Math.min(page.limit ?? 100, 500);
  const [exists, rows] = await Promise.all([
    scope.state.pipeline.count({ where: { name: pipeline } }),
    scope.state.deadLetter.findMany({
      where: {
        pipelineName: pipeline,
        resolvedAt: null,
        ...(page.before === undefined ? {} : { id: { lt: BigInt(page.before) } }),
      },
      select: { id: true, step: true, table: true, key: true, code: true, reason: true, at: true },
      orderBy: { id: 'desc' },
      take: limit + 1,
    }),
  ]);
  if (exists === 0) throw await unknownPipeline(scope, pipeline);
  const letters = rows.slice(0, limit).map((row) => ({ ...row, id: String(row.id) }));
  return { letters, next: rows.length > limit ? (letters.at(-1)?.id ?? null) : null };
}
