import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError, type ErrorRecord } from '../../error.ts';
import { isoInstant } from '../../query/iso-instant.ts';
import { asJson } from '../../state/stored-json.ts';
import { parseInput } from '../parse-input.ts';
import { notifyChanged, type Scope } from '../scope.ts';
import { unknownPipeline } from './get.ts';
import type { ReplayRecord } from './replay-record.ts';

export const replayInput = z.strictObject({
  /** ISO 8601 with zone. */
  from: isoInstant.optional(),
  key: z.string().min(1, 'is empty').max(10_000).optional(),
});

export type ReplayInput = z.infer<typeof replayInput>;

/** What the log holds of one source's tables of a pipeline. */
export interface RetainedChanges {
  source: string;
  /** When the oldest change was made, ISO 8601; null where none is held. */
  oldest: string | null;
  tables: RetainedTable[];
}

export interface RetainedTable {
  /** source.schema.table */
  table: string;
  /** Columns of its key; none for a table without one. */
  key: string[];
  /** Whether the asked key can be one of this table's. */
  isMeant: boolean;
  /** Whether its newest snapshot is held from its begin. */
  isWhole: boolean;
}

export interface AskedReplay {
  id: string;
  /** From when on changes are applied again, ISO 8601. */
  from: string;
  /** True where the pipeline is paused: the replay waits until it is resumed. */
  waits: boolean;
  leftOut: { table: string; reason: string }[];
}

/**
 * Asks the worker to apply again what the log holds for the pipeline, from the instant on or all of it, of one key or of
 * all. Durable when resolved; takes the place of a replay that has not ended. Throws `not_found` for an unknown pipeline,
 * `invalid` for an instant that the log does not reach back to or a key that is none, `conflict` where the pipeline is
 * failed, `unsupported` where no table of it can be replayed.
 */
export async function replayPipeline(
  scope: Scope,
  name: string,
  input: unknown,
  deps: { retained(key: string | null): Promise<RetainedChanges[]>; now: () => Date },
): Promise<AskedReplay> {
  requireAccess(scope.who, 'pipeline.write', 'replay pipelines');
  const { from, key } = parseInput(replayInput, input);
  const pipeline = await scope.state.pipeline.findUnique({ where: { name } });
  if (!pipeline) throw await unknownPipeline(scope, name);
  if (pipeline.state === 'failed') {
    const reason = (pipeline.lastError as ErrorRecord | null)?.message ?? '';
    throw refusal('conflict', name, `The pipeline ${name} is failed: mend it and resume it, then replay it. ${reason}`);
  }
  const { to = [] } = pipeline.spec as { to?: { mode?: unknown }[] };
  if (to.every(({ mode }) => mode === 'changes')) {
    throw refusal('unsupported', name, `The pipeline ${name} appends every change once: none is to be applied again.`);
  }
  const retained = (await deps.retained(key ?? null)).filter(({ oldest }) => oldest !== null);
  const start = startOf(name, retained, from, deps.now());
  const leftOut = chooseTables(name, retained, { from, key });
  const record: ReplayRecord = {
    id: randomUUID(),
    from: from === undefined ? null : new Date(from).toISOString(),
    key: key ?? null,
    state: 'waiting',
    askedAt: deps.now().toISOString(),
    endedAt: null,
    events: 0,
    error: null,
  };
  await scope.state.$transaction(async (tx) => {
    const { count } = await tx.pipeline.updateMany({ where: { name }, data: { replay: asJson(record) } });
    if (count === 0) throw await unknownPipeline(scope, name);
    await recordAudit(tx, scope.who, 'pipeline.replay', name);
    await notifyChanged(tx);
  });
  return { id: record.id, from: start, waits: pipeline.desired === 'paused', leftOut };
}

/** The instant from which on changes are applied again. */
function startOf(name: string, retained: readonly RetainedChanges[], from: string | undefined, now: Date): string {
  const oldest = retained.flatMap((each) => each.oldest ?? []).sort();
  const [first] = oldest;
  if (first === undefined) {
    throw refusal('not_found', name, `The log holds no change of the tables of ${name}: there is nothing to replay.`);
  }
  if (from === undefined) return first;
  const asked = new Date(from);
  if (asked > now) throw refusal('invalid', name, `${from} has not come yet: nothing was changed since.`);
  const short = retained.find((each) => each.oldest !== null && asked < new Date(each.oldest));
  if (short) {
    throw new DailiesError(
      'invalid',
      `The log of ${short.source} holds changes since ${short.oldest} and none from before. Replay from then on or later, or leave the time out for all that there is.`,
      { details: { pipeline: name, source: short.source, oldest: short.oldest } },
    );
  }
  return asked.toISOString();
}

/** What is left out, with the reason. Throws where it is everything. */
function chooseTables(
  name: string,
  retained: readonly RetainedChanges[],
  { from, key }: ReplayInput,
): AskedReplay['leftOut'] {
  const tables = retained.flatMap((each) => each.tables);
  const leftOut = tables.flatMap(({ table, key: columns, isMeant, isWhole }) => {
    if (columns.length === 0) {
      if (isWhole && from === undefined && key === undefined) return [];
      return [{ table, reason: 'it has no key, so that it comes whole from a snapshot that the log holds, or not' }];
    }
    if (isMeant) return [];
    return [
      { table, reason: `its key has ${columns.length} columns: write it as a JSON array of ${columns.join(', ')}` },
    ];
  });
  if (leftOut.length < tables.length) return leftOut;
  const [why] = leftOut;
  const code = key === undefined ? 'unsupported' : 'invalid';
  throw refusal(code, name, `No table of ${name} can be replayed so. ${why?.table}: ${why?.reason}.`);
}

function refusal(code: 'conflict' | 'unsupported' | 'not_found' | 'invalid', pipeline: string, sentence: string) {
  return new DailiesError(code, sentence, { details: { pipeline } });
}
