import { DailiesError, errorPolicy } from '#catalog/error.ts';
import type { ReplayRecord } from '#catalog/services/pipeline/replay-record.ts';
import { stateError } from '#catalog/state/state-error.ts';
import { asJson } from '#catalog/state/stored-json.ts';
import type { Sink } from '../sink.ts';
import { groupPrefix } from './group-names.ts';
import type { LaneReplay } from './lane-replay.ts';
import { planReplay } from './plan-replay.ts';
import { ReplayKey } from './replay-key.ts';
import type { StartPlace } from './start-places.ts';
import type { WorkerDeps } from './worker-deps.ts';

/** A replay was given up: the lanes are opened anew and go on where they stood. */
export class ReplayGivenUp extends Error {}

/**
 * The replay that a pipeline was asked for, over all its lanes. Its wish stays stored until every lane has applied its part,
 * so that one that was cut begins again; applied twice it leaves the same rows.
 */
export class PipelineReplay {
  readonly #deps: Pick<WorkerDeps, 'state' | 'log' | 'now' | 'report'>;
  readonly #pipeline: string;
  readonly #record: ReplayRecord | null;
  readonly #done = new Set<string>();
  #events = 0;
  #isOver: boolean;

  constructor(
    deps: Pick<WorkerDeps, 'state' | 'log' | 'now' | 'report'>,
    pipeline: string,
    record: ReplayRecord | null,
  ) {
    this.#deps = deps;
    this.#pipeline = pipeline;
    this.#record = record;
    this.#isOver = record === null;
  }

  /** Tells the wish that this runner was started with; null for none. */
  get id(): string | null {
    return this.#record?.id ?? null;
  }

  /** True for the groups by which the log keeps what is yet to be applied again. */
  holds(group: string): boolean {
    return !this.#isOver && group.startsWith(this.#group(''));
  }

  /** What the lane applies again before it goes on; null for nothing, or nothing any more. */
  async laneReplay(
    lane: { index: number; source: string; sink: Sink; starts: ReadonlyMap<string, StartPlace> },
    signal: AbortSignal,
  ): Promise<LaneReplay | null> {
    const { index, source, sink, starts } = lane;
    const record = this.#record;
    if (this.#isOver || record === null || this.#done.has(`${index} ${source}`)) return null;
    await this.#write({ state: 'running' });
    // What was appended once stands there: the place up to which it was says so.
    if (sink.keepsChanges) return null;
    const wish = {
      fromMicros: record.from === null ? null : BigInt(Date.parse(record.from)) * 1000n,
      key: record.key === null ? null : new ReplayKey(record.key),
    };
    const { log } = this.#deps;
    const { first } = await log.extent(source);
    await log.commitGroups(source, new Map([[this.#group(String(index)), first]]));
    const replay = await this.#plan(() => planReplay(log, source, starts, wish, signal));
    if (replay) await log.commitGroups(source, new Map([[this.#group(String(index)), replay.from]]));
    return replay;
  }

  /** The lane's part is committed, or there was none. `lanes` counts them all. */
  async laneEnded(lane: { index: number; source: string }, lanes: number, events: number): Promise<void> {
    const { index, source } = lane;
    if (this.#isOver || this.#done.has(`${index} ${source}`)) return;
    await this.#deps.log.removeGroup(source, this.#group(String(index)));
    this.#done.add(`${index} ${source}`);
    this.#events += events;
    if (this.#done.size < lanes) return;
    this.#isOver = true;
    await this.#write({ state: 'done', events: this.#events, endedAt: this.#deps.now().toISOString() });
    this.#deps.report(`pipeline ${this.#pipeline}: replayed, ${this.#events} changes were applied again`);
  }

  /** What a lane threw while it applied older changes: an error that does not pass ends the replay, not the pipeline. */
  async laneFailed(thrown: unknown): Promise<unknown> {
    if (!(thrown instanceof DailiesError) || errorPolicy[thrown.code] === 'auto') return thrown;
    this.#isOver = true;
    const error = thrown.toJSON();
    await this.#write({ state: 'failed', error, events: 0, endedAt: this.#deps.now().toISOString() });
    return new ReplayGivenUp(`its replay was given up, and nothing of it was applied: ${error.message}`);
  }

  async #plan(plan: () => Promise<LaneReplay | null>): Promise<LaneReplay | null> {
    try {
      return await plan();
    } catch (thrown) {
      throw await this.laneFailed(thrown);
    }
  }

  #group(lane: string): string {
    return `${groupPrefix(this.#pipeline)}replay/${lane}`;
  }

  async #write(news: Partial<ReplayRecord>): Promise<void> {
    const { state, report } = this.#deps;
    if (!this.#record) return;
    try {
      await state.pipeline.updateMany({
        // Not over a newer wish.
        where: { name: this.#pipeline, replay: { path: ['id'], equals: this.#record.id } },
        data: { replay: asJson({ ...this.#record, ...news }) },
      });
    } catch (thrown) {
      report(`pipeline ${this.#pipeline}: how far its replay is could not be stored: ${stateError(thrown).message}`);
      throw thrown;
    }
  }
}
