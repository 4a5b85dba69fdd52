import { createHash } from 'node:crypto';
import { DailiesError, errorPolicy } from '#catalog/error.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { ReplayRecord } from '#catalog/services/pipeline/replay-record.ts';
import { stateError } from '#catalog/state/state-error.ts';
import { asJson } from '#catalog/state/stored-json.ts';
import { wait } from '#catalog/wait.ts';
import type { Sink } from '../sink.ts';
import { BackOff } from './back-off.ts';
import { DeadLetters } from './dead-letters.ts';
import { groupPrefix } from './group-names.ts';
import { Lane, LaneVoided } from './lane.ts';
import { type ModuleEntry, parseEntry } from './open-module.ts';
import { PipelineProgress } from './pipeline-progress.ts';
import { PipelineReplay, ReplayGivenUp } from './pipeline-replay.ts';
import { RefusedTables, TableSetAside } from './refused-tables.ts';
import { startPlaces } from './start-places.ts';
import { type Step, StepChain } from './step-chain.ts';
import { storeFailure } from './store-failure.ts';
import { splitTableName } from './table-patterns.ts';
import type { WorkerDeps } from './worker-deps.ts';

/** As the definition has it, without the name. */
export interface PipelineSpec {
  owner?: string;
  from: string[];
  steps?: (ModuleEntry & { name?: string; from?: string[] })[];
  to: ModuleEntry[];
}

/** What a pipeline needs of the running sources. */
export interface Sources {
  readRows(table: string, schema: Schema, keys: readonly Row[], signal: AbortSignal): Promise<Map<number, Row>>;
  /** False for a source whose tables cannot be read again. */
  hasSnapshots(source: string): boolean;
  /** Tables as source.schema.table. */
  requestSnapshots(source: string, tables: readonly string[]): Promise<void>;
}

/** A lane: one source's tables on their way to the sink of this number. */
interface Way {
  index: number;
  source: string;
  tables: readonly string[];
  /** How many lanes there are. */
  lanes: number;
}

/** How long a stop waits for the batch in hand before it is given up; it is void then, and comes again. */
const stopWithinMs = 15_000;

/**
 * Runs one pipeline: a lane for each of its sources and sinks. They run until stopped; an error of one ends all, and
 * they begin again by themselves (`auto`) or the pipeline is `failed` until somebody resumes it.
 */
export class PipelineRunner {
  readonly name: string;
  readonly #deps: WorkerDeps;
  readonly #spec: PipelineSpec;
  readonly #tables: readonly string[];
  readonly #sources: Sources;
  readonly #progress: PipelineProgress;
  readonly #stop = new AbortController();
  readonly #abort = new AbortController();
  readonly #refused: RefusedTables;
  readonly #replay: PipelineReplay;
  #isResumed: boolean;
  #hasFailed = false;
  #done: Promise<void> = Promise.resolve();
  /** When the row was last written as failed; a later `updatedAt` is somebody's wish to go on. */
  failedAt: Date | null = null;

  constructor(
    deps: WorkerDeps,
    pipeline: {
      name: string;
      spec: PipelineSpec;
      tables: readonly string[];
      isResumed: boolean;
      /** Of the run that somebody has resumed: `refused` of its runner. */
      refusedBefore: ReadonlySet<string>;
      /** That is asked for and has not ended; null for none. */
      replay: ReplayRecord | null;
    },
    running: Sources,
  ) {
    this.#deps = deps;
    this.name = pipeline.name;
    this.#spec = pipeline.spec;
    this.#tables = pipeline.tables;
    this.#isResumed = pipeline.isResumed;
    this.#sources = running;
    this.#refused = new RefusedTables(this.#spec.to.length * this.#tables.length, pipeline.refusedBefore);
    this.#replay = new PipelineReplay(deps, this.name, pipeline.replay);
    const { state, now, report } = deps;
    this.#progress = new PipelineProgress({
      state,
      pipeline: this.name,
      steps: stepTitles(this.#spec),
      now,
      report,
    });
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Tells the replay that it was started with; null for none. */
  get replayId(): string | null {
    return this.#replay.id;
  }

  /** True for a target that it writes. */
  lands(kind: string, target: string): boolean {
    return this.#progress.lands(kind, target);
  }

  /** What its sinks have refused since it began. */
  get refused(): ReadonlySet<string> {
    return this.#refused.keys;
  }

  /**
   * True where tables that were refused are to be tried again: rows of one come anew after what was refused, or somebody has
   * resumed the pipeline, which goes on with others.
   */
  async isAskedAgain(): Promise<boolean> {
    const { log, state } = this.#deps;
    for (const { table, upTo } of this.#refused.voidable) {
      const snapshot = await log.snapshotOf(splitTableName(table)?.source ?? '', table);
      if (snapshot && snapshot.offset > upTo) return true;
    }
    if (this.#refused.isEmpty || this.#hasFailed || !this.#progress.isAsideStored) return false;
    return (await state.pipelineSink.count({ where: { pipelineName: this.name, state: 'failed' } })) === 0;
  }

  /** Finishes and commits the batch in hand. Durable when resolved, within 20 s. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const timer = setTimeout(() => this.#abort.abort(), stopWithinMs);
    await this.#done;
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    const backOff = new BackOff({ minMs: 250, maxMs: 30_000 });
    while (!this.#stop.signal.aborted) {
      const startedMs = performance.now();
      try {
        await this.#runLanes();
      } catch (thrown) {
        if (thrown instanceof LaneVoided || thrown instanceof TableSetAside) continue;
        if (thrown instanceof ReplayGivenUp) {
          this.#deps.report(`pipeline ${this.name}: ${thrown.message}`);
          continue;
        }
        if (this.#stop.signal.aborted && (this.#abort.signal.aborted || isAbort(thrown))) break;
        const error = stateError(thrown);
        this.#deps.report(`pipeline ${this.name}: ${error.message}`);
        if (errorPolicy[error.code] !== 'auto') {
          await this.#fail(error);
          return;
        }
        if (performance.now() - startedMs > 60_000) backOff.reset();
        const state = this.#progress.isLanded ? 'running' : 'snapshotting';
        this.#progress.setStatus({ state, lastError: error.toJSON() });
        await wait(backOff.next(), this.#stop.signal);
      }
    }
    await this.#progress.close();
  }

  async #fail(error: DailiesError): Promise<void> {
    this.#hasFailed = true;
    const running = this.#progress.isLanded ? 'running' : 'snapshotting';
    this.#progress.setStatus({ state: running, lastError: error.toJSON() });
    await this.#progress.close();
    const { state, report } = this.#deps;
    const data = { state: 'failed', lastError: asJson(error.toJSON()) };
    this.failedAt = await storeFailure(
      () => state.pipeline.updateManyAndReturn({ where: { name: this.name }, data, select: { updatedAt: true } }),
      { report: (message) => report(`pipeline ${this.name}: ${message}`), signal: this.#stop.signal },
    );
  }

  async #runLanes(): Promise<void> {
    const bySource = Map.groupBy(this.#tables, (table) => splitTableName(table)?.source ?? '');
    const isResumed = this.#isResumed;
    const ends = new AbortController();
    const stop = AbortSignal.any([this.#stop.signal, ends.signal]);
    const ways = this.#spec.to.flatMap((_, index) =>
      [...bySource].flatMap(([source, all]) => {
        const tables = all.filter((table) => this.#refused.isTaken(index, table));
        return tables.length === 0 ? [] : [{ index, source, tables }];
      }),
    );
    this.#progress.beginLanes(ways.length, this.#refused.targets);
    const lanes = ways.map((way) => this.#runLane({ ...way, lanes: ways.length }, isResumed, stop));
    let failure: { thrown: unknown } | null = null;
    await Promise.all(
      lanes.map(async (lane) => {
        try {
          await lane;
        } catch (thrown) {
          if (!failure || isMild(failure.thrown)) failure = { thrown };
          ends.abort();
        }
      }),
    );
    if (failure) throw (failure as { thrown: unknown }).thrown;
  }

  async #runLane(
    { index: sinkIndex, source, tables, lanes }: Way,
    isResumed: boolean,
    stop: AbortSignal,
  ): Promise<void> {
    const { state, log, now } = this.#deps;
    const abort = this.#abort.signal;
    const entry = this.#spec.to[sinkIndex] ?? { kind: '' };
    const steps = await this.#openSteps();
    let sink: Sink | null = null;
    let lane: Lane | null = null;
    try {
      sink = await this.#openSink(entry);
      const groupOf = (table: string) => wayTo(this.name, entry, table) + fingerprint(this.#spec.steps ?? []);
      // Those of tables that are set aside, too: the log keeps what they have not landed.
      const ways = new Set(this.#spec.to.flatMap((to) => this.#tables.map((table) => wayTo(this.name, to, table))));
      const starts = await startPlaces(
        {
          log,
          source,
          tables,
          sink,
          isResumed,
          groupOf,
          groupPrefix: groupPrefix(this.name),
          isStillTaken: (group) => this.#replay.holds(group) || ways.has(group.slice(0, group.lastIndexOf('/') + 1)),
          hasSnapshots: this.#sources.hasSnapshots(source),
          isSnapshotDue: (table) => this.#isSnapshotDue(table),
          anewAfter: (table) => this.#refused.anewAfter(sinkIndex, table),
          requestSnapshots: (wanted) => this.#sources.requestSnapshots(source, wanted),
        },
        stop,
      );
      if (stop.aborted) return;
      this.#isResumed = false;
      const deadLetters = new DeadLetters(state, this.name, now);
      await deadLetters.load();
      const targets = new Map<string, { kind: string; target: string; isLanded: boolean }>();
      const chunked = new Set<string>();
      for (const table of tables) {
        const isChunked = (await sink.chunkedGeneration(table, stop)) !== null;
        if (isChunked) chunked.add(table);
        const isLanded = starts.get(table)?.awaitsSnapshot === false && !isChunked;
        targets.set(table, { ...sink.target(table), isLanded });
      }
      this.#progress.addLane(sinkIndex, steps, targets);
      this.#progress.setStatus(null);
      // Whatever is made there from now on can be found again.
      await this.#progress.flush();
      const way = { index: sinkIndex, source };
      const replay = await this.#replay.laneReplay({ ...way, sink, starts }, stop);
      if (stop.aborted) return;
      if (!replay) await this.#replay.laneEnded(way, lanes, 0);
      lane = new Lane({
        log,
        source,
        groups: tables.map(groupOf),
        sink,
        steps,
        deadLetters,
        readRows: this.#sources.readRows,
        starts,
        chunked,
        replay,
        onReplayed: () => this.#replay.laneEnded(way, lanes, replay?.events ?? 0),
        commitEveryMs: this.#deps.commitEveryMs,
        nowMs: () => performance.now(),
        // Each sink has its own lane; an event counts once.
        onCounts: (counts) => sinkIndex === 0 && this.#progress.count(counts),
        onCovered: (position, commits, timeMicros) =>
          this.#progress.covered(sinkIndex, tables, position, commits, timeMicros),
        onSnapshotLanded: (table) => this.#progress.landed(sinkIndex, table),
      });
      await lane.run(stop, abort);
    } catch (thrown) {
      if (lane?.isReplaying) throw await this.#replay.laneFailed(thrown);
      throw sink ? this.#judge(thrown, sinkIndex, source, tables, sink) : thrown;
    } finally {
      await steps.close();
      await sink?.close();
    }
  }

  /** As `RefusedTables.judge`, told to the operator. */
  #judge(thrown: unknown, index: number, source: string, tables: readonly string[], sink: Sink): unknown {
    const judged = this.#refused.judge(thrown, {
      sink: index,
      tables,
      targetOf: (table) => sink.target(table),
      canReadAnew: this.#sources.hasSnapshots(source) && sink.keepsChanges !== true,
    });
    if (judged instanceof TableSetAside) this.#deps.report(`pipeline ${this.name}: ${judged.message}`);
    return judged;
  }

  async #openSteps(): Promise<StepChain> {
    const titles = stepTitles(this.#spec);
    const steps: Step[] = [];
    for (const [i, { name: _, from, ...entry }] of (this.#spec.steps ?? []).entries()) {
      const title = titles[i] ?? { name: entry.kind, kind: entry.kind };
      if (from !== undefined) {
        throw new DailiesError('unsupported', `The step ${title.name} of ${this.name}: \`from\` does not work yet.`);
      }
      const { module, config } = await parseEntry(
        this.#deps.modules.processors,
        entry as ModuleEntry,
        (spec) => this.#deps.resolveSecrets(spec),
        `The step ${title.name} of the pipeline ${this.name}`,
      );
      const processor = module.open(config, {
        now: this.#deps.now,
        fetch: globalThis.fetch,
        readRows: (table, schema, keys, signal) => this.#sources.readRows(table, schema, keys, signal),
      });
      steps.push({ ...title, processor });
    }
    return new StepChain(steps);
  }

  async #openSink(entry: ModuleEntry): Promise<Sink> {
    const { module, config } = await parseEntry(
      this.#deps.modules.sinks,
      entry,
      (spec) => this.#deps.resolveSecrets(spec),
      `The sink of the pipeline ${this.name}`,
    );
    return module.open(config, {
      ...this.#deps.sinkDeps,
      pipeline: this.name,
      owner: this.#spec.owner ?? null,
      // Those of other lanes too: two sources' tables must not land in one target.
      sourceTables: this.#tables,
    });
  }

  async #isSnapshotDue(table: string): Promise<boolean> {
    const parts = splitTableName(table);
    if (!parts) return false;
    const row = await this.#deps.state.sourceTable.findUnique({
      where: { sourceName_name: { sourceName: parts.source, name: parts.table } },
      select: { state: true },
    });
    return row !== null && row.state !== 'running';
  }
}

/** Begins the name of the group of one table on its way to one target; the steps' fingerprint follows. */
function wayTo(pipeline: string, to: ModuleEntry, table: string): string {
  return `${groupPrefix(pipeline)}${fingerprint(to)}/${table}/`;
}

/** Lanes are opened anew after it, at once. */
function isMild(thrown: unknown): boolean {
  return thrown instanceof LaneVoided || thrown instanceof TableSetAside || thrown instanceof ReplayGivenUp;
}

/** What was told to stop before it had begun. */
function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError';
}

function fingerprint(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);
}

/** Steps by the names that the definition gives, else by their kind; each name is there once. */
function stepTitles(spec: PipelineSpec): { name: string; kind: string }[] {
  const taken = new Map<string, number>();
  return (spec.steps ?? []).map((step) => {
    const name = step.name ?? step.kind;
    const count = (taken.get(name) ?? 0) + 1;
    taken.set(name, count);
    return { name: count === 1 ? name : `${name} ${count}`, kind: step.kind };
  });
}
