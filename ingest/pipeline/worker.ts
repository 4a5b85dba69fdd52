import { createHash } from 'node:crypto';
import pg from 'pg';
import { DailiesError, type ErrorRecord } from '#catalog/error.ts';
import type { Schema } from '#catalog/schemas/schema.ts';
import { leftTargets } from '#catalog/services/pipeline/left-targets.ts';
import type { RetainedChanges } from '#catalog/services/pipeline/replay.ts';
import { isOpenReplay, readReplay } from '#catalog/services/pipeline/replay-record.ts';
import { stateError } from '#catalog/state/state-error.ts';
import { asJson, noJson } from '#catalog/state/stored-json.ts';
import { wait } from '#catalog/wait.ts';
import { dropLeftTargets } from './drop-left-targets.ts';
import { groupPrefix } from './group-names.ts';
import type { ModuleEntry } from './open-module.ts';
import { PipelineRunner, type PipelineSpec } from './pipeline-runner.ts';
import { dropRemovedSource, removedSources } from './removed-sources.ts';
import { retainedChanges } from './retained.ts';
import { SourceRunner } from './source-runner.ts';
import { isPattern, matchesTable, splitTableName } from './table-patterns.ts';
import type { WorkerDeps } from './worker-deps.ts';

const pollEveryMs = 2_000;

export interface Worker {
  /** Finishes and commits the batches in hand, then stops, within 20 s. Nothing is lost if it is killed instead. */
  close(): Promise<void>;

  /** What the log holds for a pipeline, by source; `key` is one that somebody asks for. Throws `not_found`. */
  retained(pipeline: string, key: string | null): Promise<RetainedChanges[]>;
}

interface Running<R> {
  runner: R;
  /** Fingerprint of what it was started with; another starts it anew. */
  spec: string;
  /** Names of the sources it reads. */
  sources: readonly string[];
}

/** Runs every source and every pipeline of the state database, and follows what people change there. */
export async function startWorker<SinkDeps extends object>(deps: WorkerDeps<SinkDeps>): Promise<Worker> {
  const worker = new Conductor(deps as unknown as WorkerDeps);
  await worker.start();
  return worker;
}

class Conductor implements Worker {
  readonly #deps: WorkerDeps;
  readonly #sources = new Map<string, Running<SourceRunner>>();
  readonly #pipelines = new Map<string, Running<PipelineRunner>>();
  /** Pipelines that are stored as failed because none of their tables can be read. */
  readonly #refused = new Set<string>();
  readonly #closing = new AbortController();
  /** Wakes the loop that brings what runs up to what the state says. */
  #wake: () => void = () => {};
  #isWoken = false;
  #loop: Promise<void> = Promise.resolve();
  #listening: Promise<void> = Promise.resolve();

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    await this.#dropForgottenTopics();
    this.#listening = this.#listen();
    this.#loop = this.#follow();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#loop, this.#listening]);
    await Promise.all([...this.#pipelines.values()].map(({ runner }) => runner.stop()));
    await Promise.all([...this.#sources.values()].map(({ runner }) => runner.stop()));
  }

  async retained(pipeline: string, key: string | null): Promise<RetainedChanges[]> {
    const { state, log } = this.#deps;
    const row = await state.pipeline.findUnique({ where: { name: pipeline }, select: { spec: true } });
    if (!row) throw new DailiesError('not_found', `There is no pipeline ${pipeline}.`, { details: { pipeline } });
    const { from } = row.spec as unknown as PipelineSpec;
    const names = [...new Set(from.flatMap((pattern) => splitTableName(pattern)?.source ?? []))];
    const retained: RetainedChanges[] = [];
    for (const source of names.filter((name) => log.topics().includes(name))) {
      const rows = await state.sourceTable.findMany({ where: { sourceName: source } });
      const tables = new Map(
        rows.flatMap(({ name, schema }): [string, Schema][] => {
          const table = `${source}.${name}`;
          const isOurs = schema !== null && from.some((pattern) => matchesTable(pattern, table));
          return isOurs ? [[table, schema as unknown as Schema]] : [];
        }),
      );
      retained.push(await retainedChanges(log, source, tables, key, this.#closing.signal));
    }
    return retained;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      this.#isWoken = false;
      try {
        await this.#reconcile();
      } catch (thrown) {
        this.#deps.report(`worker: the state database cannot be read: ${stateError(thrown).message}`);
      }
      if (this.#isWoken) continue;
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await wait(pollEveryMs, AbortSignal.any([signal, woken.signal]));
    }
  }

  #tell(): void {
    this.#isWoken = true;
    this.#wake();
  }

  async #reconcile(): Promise<void> {
    const { state } = this.#deps;
    // Before the pipelines: what is noted here is gone from there.
    const left = await leftTargets(state);
    const [sources, pipelines, tables] = await Promise.all([
      state.source.findMany(),
      state.pipeline.findMany(),
      state.sourceTable.findMany({ select: { sourceName: true, name: true, state: true, lastError: true } }),
    ]);
    await this.#dropRemoved();
    await this.#reconcileSources(sources);
    const tablesOf = Map.groupBy(tables, (table) => table.sourceName);
    for (const [name, { runner }] of this.#sources) {
      const wishes = (tablesOf.get(name) ?? []).filter((table) => table.state === 'snapshotting');
      await runner.hearWishes(wishes.map((table) => table.name));
    }
    const sourceOf = new Map(sources.map((source) => [source.name, source]));
    const gone = [...this.#pipelines.keys()].filter((name) => !pipelines.some((pipeline) => pipeline.name === name));
    await Promise.all(gone.map((name) => this.#removePipeline(name)));
    const running = [...this.#pipelines.values()];
    await dropLeftTargets(this.#deps, left, (...at) => running.some(({ runner }) => runner.lands(...at)));
    await Promise.all(
      pipelines.map(async (pipeline) => {
        const spec = pipeline.spec as unknown as PipelineSpec;
        const input = resolveInput(spec, (name) => ({
          source: sourceOf.get(name) ?? null,
          tables: tablesOf.get(name) ?? [],
        }));
        await this.#reconcilePipeline(pipeline, spec, input);
      }),
    );
  }

  async #reconcileSources(rows: { name: string; kind: string; spec: unknown; updatedAt: Date }[]): Promise<void> {
    const wanted = new Map(rows.map((row) => [row.name, row]));
    for (const [name, { runner }] of this.#sources) if (!wanted.has(name)) await this.#stopSource(runner);
    for (const row of rows) {
      const spec = { ...(row.spec as ModuleEntry), kind: row.kind };
      const identity = await this.#identity(spec);
      const running = this.#sources.get(row.name);
      if (running?.spec === identity) {
        if (isTouched(running.runner.failedAt, row.updatedAt)) {
          running.runner.resume();
        }
        continue;
      }
      this.#sources.delete(row.name);
      await running?.runner.stop();
      const runner = new SourceRunner(this.#deps, { name: row.name, spec }, () => this.#tell());
      this.#sources.set(row.name, { runner, spec: identity, sources: [] });
      runner.start();
    }
  }

  /** Takes up what a definition no longer names: its topic goes, and what we made in its database. */
  async #dropRemoved(): Promise<void> {
    for (const removed of await removedSources(this.#deps.state)) {
      const runner = this.#sources.get(removed.name)?.runner;
      if (runner) await this.#stopSource(runner);
      await dropRemovedSource(this.#deps, removed);
    }
  }

  async #stopSource(runner: SourceRunner): Promise<void> {
    const readers = [...this.#pipelines].filter(([, { sources }]) => sources.includes(runner.name));
    for (const [name, { runner: reader }] of readers) {
      this.#pipelines.delete(name);
      await reader.stop();
    }
    this.#sources.delete(runner.name);
    await runner.stop();
    await this.#deps.log.removeTopic(runner.name);
  }

  /** Changes with the spec and with the value of a secret in it; nothing can be read back from it. */
  async #identity(spec: unknown): Promise<string> {
    let resolved: unknown;
    try {
      resolved = await this.#deps.resolveSecrets(spec);
    } catch (thrown) {
      // What runs without its secret says so itself; here only a later value has to differ.
      resolved = [spec, stateError(thrown).message];
    }
    return createHash('sha256').update(stable(resolved)).digest('hex');
  }

  /** Topics of sources that were removed while no worker ran. */
  async #dropForgottenTopics(): Promise<void> {
    const { state, log } = this.#deps;
    const known = new Set((await state.source.findMany({ select: { name: true } })).map(({ name }) => name));
    for (const topic of log.topics()) if (!known.has(topic)) await log.removeTopic(topic);
    const pipelines = new Set((await state.pipeline.findMany({ select: { name: true } })).map(({ name }) => name));
    for (const topic of log.topics()) {
      for (const group of (await log.groups(topic)).keys()) {
        if (!pipelines.has(group.slice(0, group.indexOf('/')))) await log.removeGroup(topic, group);
      }
    }
  }

  async #removePipeline(name: string): Promise<void> {
    const running = this.#pipelines.get(name);
    this.#pipelines.delete(name);
    this.#refused.delete(name);
    await running?.runner.stop();
    const { log } = this.#deps;
    for (const topic of log.topics()) {
      for (const group of (await log.groups(topic)).keys()) {
        if (group.startsWith(groupPrefix(name))) await log.removeGroup(topic, group);
      }
    }
  }

  async #reconcilePipeline(
    row: { name: string; desired: string; state: string; updatedAt: Date; replay: unknown },
    spec: PipelineSpec,
    input: Input,
  ): Promise<void> {
    const { name } = row;
    const running = this.#pipelines.get(name);
    if (row.desired === 'paused') {
      if (running) {
        this.#pipelines.delete(name);
        await running.runner.stop();
      }
      if (running || row.state !== 'paused') await this.#writeState(name, 'paused', undefined);
      return;
    }
    const identity = await this.#identity({ spec, tables: input.tables });
    const isResumed =
      running !== undefined &&
      (isTouched(running.runner.failedAt, row.updatedAt) || (await running.runner.isAskedAgain()));
    const asked = readReplay(row.replay);
    const replay = isOpenReplay(asked) ? asked : null;
    const isToReplay = replay !== null && running?.runner.replayId !== replay.id;
    if (running && running.spec === identity && !isResumed && !isToReplay) return;
    if (running) {
      this.#pipelines.delete(name);
      await running.runner.stop();
    }
    if (input.error) {
      // Somebody has resumed it: its tables are tried again.
      if (this.#refused.has(name) && row.state !== 'failed')
        for (const source of input.sources) this.#sources.get(source)?.runner.resume();
      this.#refused.add(name);
      await this.#writeState(name, 'failed', input.error);
      return;
    }
    this.#refused.delete(name);
    if (input.tables.length === 0) {
      if (row.state !== 'snapshotting') await this.#writeState(name, 'snapshotting', null);
      return;
    }
    const refusedBefore = isResumed && running ? running.runner.refused : new Set<string>();
    const runner = new PipelineRunner(
      this.#deps,
      { name, spec, tables: input.tables, isResumed, refusedBefore, replay },
      this.#readers,
    );
    this.#pipelines.set(name, { runner, spec: identity, sources: input.sources });
    runner.start();
  }

  readonly #readers = {
    readRows: async (
      table: string,
      ...rest: Parameters<SourceRunner['readRows']> extends [string, ...infer R] ? R : never
    ) => {
      const parts = splitTableName(table);
      const source = parts && this.#sources.get(parts.source)?.runner;
      if (!source)
        throw new DailiesError(
          'source_unreachable',
          `The source of ${table} does not run, so no row can be read again.`,
        );
      return source.readRows(table, ...rest);
    },
    hasSnapshots: (source: string) => this.#sources.get(source)?.runner.hasSnapshots ?? true,
    requestSnapshots: async (source: string, tables: readonly string[]) => {
      const runner = this.#sources.get(source)?.runner;
      if (!runner)
        throw new DailiesError('source_unreachable', `The source ${source} does not run, so no snapshot can be taken.`);
      await runner.requestSnapshots(tables.map((table) => table.slice(source.length + 1)));
    },
  };

  async #writeState(name: string, state: string, error: ErrorRecord | null | undefined): Promise<void> {
    const lastError = error === undefined ? {} : { lastError: error ? asJson(error) : noJson };
    const row = await this.#deps.state.pipeline.findUnique({
      where: { name },
      select: { state: true, lastError: true },
    });
    if (row?.state === state && (error === undefined || stable(row.lastError) === stable(error))) return;
    await this.#deps.state.pipeline.updateMany({ where: { name }, data: { state, eventsPerSecond: 0, ...lastError } });
  }

  /** Hears of changes at once; the poll finds them where the connection is down. */
  async #listen(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const client = new pg.Client({ connectionString: this.#deps.databaseUrl, connectionTimeoutMillis: 10_000 });
      const ended = new AbortController();
      client.on('error', () => ended.abort());
      client.on('end', () => ended.abort());
      client.on('notification', () => this.#tell());
      try {
        await client.connect();
        await client.query('LISTEN dailies_changed');
        await wait(2 ** 31 - 1, AbortSignal.any([signal, ended.signal]));
        await client.end();
      } catch (thrown) {
        this.#deps.report(`worker: cannot listen to the state database: ${stateError(thrown).message}`);
      }
      await wait(pollEveryMs, signal);
    }
  }
}

interface Input {
  /** source.schema.table, sorted. */
  tables: string[];
  sources: string[];
  /** Why the pipeline cannot run at all. */
  error: ErrorRecord | null;
}

interface KnownSource {
  source: { state: string } | null;
  tables: { sourceName: string; name: string; state: string; lastError: unknown }[];
}

/** The tables that the pipeline's patterns name now; an error where a name without `*` is no table of a source that is ready. */
function resolveInput(spec: PipelineSpec, sourceOf: (name: string) => KnownSource): Input {
  const tables = new Set<string>();
  const sources = new Set<string>();
  const refused: { table: string; error: unknown }[] = [];
  let error: ErrorRecord | null = null;
  for (const pattern of spec.from) {
    const parts = splitTableName(pattern);
    const known = parts && sourceOf(parts.source);
    if (!parts || !known?.source) {
      const message = `${pattern}: there is no source ${parts?.source ?? pattern}. A table is written source.schema.table.`;
      error ??= new DailiesError('table_unknown', message, { details: { table: pattern } }).toJSON();
      continue;
    }
    sources.add(parts.source);
    const matched = known.tables.filter((table) => matchesTable(pattern, `${table.sourceName}.${table.name}`));
    for (const table of matched) {
      const name = `${table.sourceName}.${table.name}`;
      if (table.state === 'failed') refused.push({ table: name, error: table.lastError });
      else tables.add(name);
    }
    if (matched.length === 0 && !isPattern(pattern) && known.tables.length > 0) {
      const message = `${pattern}: the source ${parts.source} follows no such table. Add it to the source's tables, or correct the name.`;
      error ??= new DailiesError('table_unknown', message, { details: { table: pattern } }).toJSON();
    }
  }
  if (tables.size === 0 && refused[0]) error ??= refused[0].error as ErrorRecord;
  return { tables: [...tables].sort(), sources: [...sources], error };
}

/** True where somebody touched a row after it was stored as failed: they ask to go on. */
function isTouched(failedAt: Date | null, updatedAt: Date): boolean {
  return failedAt !== null && updatedAt.getTime() > failedAt.getTime();
}

/** Equal for equal values, whatever the order of their keys. */
function stable(value: unknown): string {
  return JSON.stringify(value ?? null, (_, part) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part as object).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
