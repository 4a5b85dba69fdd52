import type { ErrorRecord } from '#catalog/error.ts';
import { noteLeftTargets } from '#catalog/services/pipeline/left-targets.ts';
import type { State } from '#catalog/state/state.ts';
import { stateError } from '#catalog/state/state-error.ts';
import { asJson, noJson } from '#catalog/state/stored-json.ts';
import type { PipelinePosition, SinkCommit } from '../sink.ts';
import { dateOf } from './commit-time.ts';
import type { StepChain } from './step-chain.ts';
import { Throttled } from './throttled.ts';

const everyMs = 500;
const rateWindowMs = 5_000;

export interface StepTitle {
  name: string;
  kind: string;
}

interface Target {
  kind: string;
  target: string;
  isLanded: boolean;
  position: PipelinePosition;
  rows: bigint | null;
  committedAt: Date | null;
  sourceTime: Date | null;
  isChanged: boolean;
}

/** A target that is left out until somebody resumes the pipeline. */
export interface AsideTarget {
  kind: string;
  target: string;
  error: ErrorRecord;
}

/** What `status` and the pages show of one pipeline; stored at most twice a second, and only when something changed. */
export class PipelineProgress {
  readonly #state: State;
  readonly #pipeline: string;
  readonly #steps: readonly StepTitle[];
  readonly #now: () => Date;
  readonly #throttled: Throttled;
  /** Input table and lane → target; several tables may share one. */
  readonly #targets = new Map<string, Target>();
  readonly #chains = new Set<StepChain>();
  #lanes = 0;
  #aside: readonly AsideTarget[] = [];
  #isAsideStored = true;
  #isPruned = false;
  #wasLanded = false;
  #position: PipelinePosition = {};
  #in = 0;
  #out = 0;
  #rejected = 0;
  readonly #recent: { atMs: number; events: number }[] = [];
  #rateTimer: NodeJS.Timeout | null = null;
  #status: { state: string; lastError: ErrorRecord | null } | null = null;

  constructor(deps: {
    state: State;
    pipeline: string;
    steps: readonly StepTitle[];
    now: () => Date;
    report: (line: string) => void;
  }) {
    this.#state = deps.state;
    this.#pipeline = deps.pipeline;
    this.#steps = deps.steps;
    this.#now = deps.now;
    this.#throttled = new Throttled({
      everyMs,
      write: () => this.#write(),
      onError: (error) =>
        deps.report(`pipeline ${deps.pipeline}: its state could not be stored: ${stateError(error).message}`),
    });
  }

  /** For each lane before it runs, of the sink of this number. `isLanded` tells of tables that the target holds already. */
  addLane(
    sink: number,
    chain: StepChain,
    targets: ReadonlyMap<string, { kind: string; target: string; isLanded: boolean }>,
  ): void {
    this.#chains.add(chain);
    for (const [table, target] of targets) {
      const known = [...this.#targets.values()].find(
        (each) => each.kind === target.kind && each.target === target.target,
      );
      const fresh = {
        ...target,
        position: {},
        rows: null,
        committedAt: null,
        sourceTime: null,
        isChanged: true,
      };
      this.#targets.set(`${sink} ${table}`, known ?? fresh);
    }
    this.#throttled.touch();
  }

  /** So many lanes will be opened, for all but what is set aside. Their counts since the worker began go on. */
  beginLanes(lanes: number, aside: readonly AsideTarget[]): void {
    this.#wasLanded ||= this.isLanded;
    this.#lanes = lanes;
    this.#aside = aside;
    this.#isAsideStored = false;
    this.#chains.clear();
    this.#targets.clear();
  }

  /** True for a target that is written. */
  lands(kind: string, target: string): boolean {
    return [...this.#targets.values()].some((each) => each.kind === kind && each.target === target);
  }

  /** Stores at once what is not stored yet, or tells that it could not. */
  flush(): Promise<void> {
    return this.#throttled.flush();
  }

  count(counts: { in: number; out: number; rejected: number }): void {
    this.#in += counts.in;
    this.#out += counts.out;
    this.#rejected += counts.rejected;
    if (counts.in === 0) return;
    this.#recent.push({ atMs: this.#now().getTime(), events: counts.in });
    this.#rateTimer ??= setInterval(() => this.#throttled.touch(), 1_000);
    this.#throttled.touch();
  }

  covered(
    sink: number,
    tables: Iterable<string>,
    position: PipelinePosition,
    commits: readonly SinkCommit[],
    timeMicros: bigint,
  ): void {
    this.#position = { ...this.#position, ...position };
    const commitOf = new Map(commits.map((commit) => [commit.table, commit]));
    for (const table of tables) {
      const target = this.#targets.get(`${sink} ${table}`);
      if (!target) continue;
      target.position = { ...target.position, ...position };
      target.isChanged = true;
      const commit = commitOf.get(table) ?? commitOf.get(target.target);
      if (!commit) continue;
      target.rows = commit.rows;
      target.committedAt = this.#now();
      target.sourceTime = dateOf(timeMicros);
    }
    this.#throttled.touch();
  }

  landed(sink: number, table: string): void {
    const target = this.#targets.get(`${sink} ${table}`);
    if (!target) return;
    target.isLanded = true;
    target.isChanged = true;
    this.#throttled.touch();
  }

  get isLanded(): boolean {
    if (this.#targets.size === 0) return this.#wasLanded;
    return [...this.#targets.values()].every((target) => target.isLanded);
  }

  /** Null: as the lanes are (snapshotting until every table has landed, then running) and well. */
  setStatus(status: { state: string; lastError: ErrorRecord | null } | null): void {
    this.#status = status;
    this.#throttled.touch();
  }

  /** True once the state says which targets are set aside. */
  get isAsideStored(): boolean {
    return this.#isAsideStored;
  }

  /** Stores what is left and ends; nothing is stored after it. */
  async close(): Promise<void> {
    if (this.#rateTimer) clearInterval(this.#rateTimer);
    this.#rateTimer = null;
    this.#recent.length = 0;
    this.#throttled.touch();
    await this.#throttled.close();
  }

  async #write(): Promise<void> {
    const aside = this.#aside;
    const status = this.#status ?? {
      state: this.isLanded ? 'running' : 'snapshotting',
      lastError: aside[0]?.error ?? null,
    };
    const targets = [...new Set(this.#targets.values())].filter((target) => target.isChanged);
    const counted = { in: this.#in, out: this.#out, rejected: this.#rejected };
    const name = this.#pipeline;
    await this.#state.$transaction(async (tx) => {
      const { count } = await tx.pipeline.updateMany({
        where: { name },
        data: {
          state: status.state,
          lastError: status.lastError ? asJson(status.lastError) : noJson,
          ...(Object.keys(this.#position).length > 0 ? { position: asJson(this.#position) } : {}),
          eventsIn: { increment: counted.in },
          eventsOut: { increment: counted.out },
          eventsRejected: { increment: counted.rejected },
          eventsPerSecond: this.#rate(),
          steps: asJson(this.#stepCounts()),
        },
      });
      if (count === 0) return;
      if (!this.#isPruned && this.#chains.size === this.#lanes) {
        const targets = [...this.#targets.values(), ...aside].map(({ kind, target }) => ({ kind, target }));
        const where = { pipelineName: name, NOT: { OR: targets } };
        const left = await tx.pipelineSink.findMany({ where, select: { kind: true, target: true } });
        await noteLeftTargets(tx, name, left);
        await tx.pipelineSink.deleteMany({ where });
        this.#isPruned = true;
      }
      for (const target of targets) {
        target.isChanged = false;
        const key = { pipelineName: name, kind: target.kind, target: target.target };
        const data = {
          state: target.isLanded ? 'running' : 'snapshotting',
          lastError: noJson,
          ...(Object.keys(target.position).length > 0 ? { position: asJson(target.position) } : {}),
          ...(target.rows === null ? {} : { rows: target.rows }),
          ...(target.committedAt ? { committedAt: target.committedAt } : {}),
          ...(target.sourceTime ? { sourceTime: target.sourceTime } : {}),
        };
        await tx.pipelineSink.upsert({
          where: { pipelineName_kind_target: key },
          create: { ...key, ...data },
          update: data,
        });
      }
      for (const { error, ...target } of this.#isAsideStored ? [] : aside) {
        const key = { pipelineName: name, ...target };
        const data = { state: 'failed', lastError: asJson(error) };
        await tx.pipelineSink.upsert({
          where: { pipelineName_kind_target: key },
          create: { ...key, ...data },
          update: data,
        });
      }
    });
    if (aside === this.#aside) this.#isAsideStored = true;
    this.#in -= counted.in;
    this.#out -= counted.out;
    this.#rejected -= counted.rejected;
  }

  #rate(): number {
    const nowMs = this.#now().getTime();
    while (this.#recent[0] && nowMs - this.#recent[0].atMs > rateWindowMs) this.#recent.shift();
    const events = this.#recent.reduce((sum, each) => sum + each.events, 0);
    if (events === 0 && this.#rateTimer) {
      clearInterval(this.#rateTimer);
      this.#rateTimer = null;
    }
    return (events * 1000) / rateWindowMs;
  }

  #stepCounts(): unknown[] {
    return this.#steps.map(({ name, kind }, i) => {
      const sum = { in: 0, out: 0, rejected: 0 };
      for (const chain of this.#chains) {
        const counts = chain.counts[i];
        sum.in += counts?.in ?? 0;
        sum.out += counts?.out ?? 0;
        sum.rejected += counts?.rejected ?? 0;
      }
      return { name, kind, ...sum, detail: null };
    });
  }
}
