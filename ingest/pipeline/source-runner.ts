import { DailiesError, type ErrorCode, type ErrorRecord, errorPolicy } from '#catalog/error.ts';
import { failpoint } from '#catalog/failpoint.ts';
import { type Row, type Schema, schemasEqual } from '#catalog/schemas/schema.ts';
import { stateError } from '#catalog/state/state-error.ts';
import { asJson, noJson } from '#catalog/state/stored-json.ts';
import { wait } from '#catalog/wait.ts';
import { type Batch, type SourcePosition, schemaOf, tableOf } from '../event.ts';
import type { LogRecord } from '../log.ts';
import type { Source, SourceDeps } from '../source.ts';
import { BackOff } from './back-off.ts';
import { dateOf } from './commit-time.ts';
import { latestOnly } from './latest-only.ts';
import { LostPlace } from './lost-place.ts';
import { type ModuleEntry, parseEntry } from './open-module.ts';
import { storedMemory } from './source-memory.ts';
import { SourceSnapshots } from './source-snapshots.ts';
import { planTables } from './source-tables.ts';
import { SourceWarnings } from './source-warnings.ts';
import { storeFailure } from './store-failure.ts';
import { Throttled } from './throttled.ts';
import type { WorkerDeps } from './worker-deps.ts';

const maxPendingBytes = 16 << 20;
const trimEveryMs = 60_000;
const discoverEveryMs = 30_000;
const warnEveryMs = 10_000;
/** Errors of a table that only a person can mend. */
const tableErrors: readonly ErrorCode[] = [
  'type_unsupported',
  'value_unsupported',
  'schema_incompatible',
  'source_not_ready',
];
/** A table whose errors should pass is set aside after so many that did not. */
const mostFailures = 4;

/**
 * Follows one source: discover → plan → changes → log → state and acknowledgement, again from the log's last position
 * after every error that may pass. Its topic in the log has the source's name.
 *
 *   starting ──► running ──► (error, auto) ──► waits, then starting
 *                   │ └────► (error, manual) ──► failed, until `resume`
 *                   └──────► (tables wanted or changed) ──► starting
 */
export class SourceRunner {
  readonly name: string;
  readonly #deps: WorkerDeps;
  readonly #spec: ModuleEntry;
  readonly #onTables: () => void;
  readonly #stop = new AbortController();
  #restart = new AbortController();
  #source: Source | null = null;
  #done: Promise<void> = Promise.resolve();
  #resumed: (() => void) | null = null;
  readonly #snapshots: SourceSnapshots;
  /** Tables that failed in the stream, left out until somebody resumes. */
  readonly #setAside = new Map<string, ErrorRecord>();
  /** How often in a row a table's own error has ended the stream. */
  readonly #failures = new Map<string, number>();
  /** How many tables the source was last asked for. */
  #planned = 0;
  #forgetsPosition = false;
  /** Shapes as the state has them, by schema.table. */
  readonly #schemas = new Map<string, Schema>();
  readonly #progress: Throttled;
  readonly #warnings: SourceWarnings;
  readonly #lostPlace: LostPlace;
  #position: SourcePosition | null = null;
  #coveredMicros: bigint | null = null;
  #sourceMicros: bigint | null = null;

  constructor(deps: WorkerDeps, source: { name: string; spec: ModuleEntry }, onTables: () => void) {
    this.#deps = deps;
    this.name = source.name;
    this.#spec = source.spec;
    this.#onTables = onTables;
    this.#snapshots = new SourceSnapshots({ state: deps.state, source: source.name, now: deps.now });
    this.#progress = new Throttled({
      everyMs: 500,
      write: () => this.#writeProgress(),
      onError: (error) =>
        deps.report(`source ${this.name}: its state could not be stored: ${stateError(error).message}`),
    });
    this.#warnings = new SourceWarnings({
      state: deps.state,
      source: source.name,
      everyMs: deps.warnEveryMs ?? warnEveryMs,
      running: () => this.#source,
      open: () => this.#open(),
      report: (line) => deps.report(line),
    });
    this.#lostPlace = new LostPlace(this.#warnings);
  }

  /** Where it is failed: when its row said so. A later `updatedAt` of the row is somebody's wish to go on. */
  failedAt: Date | null = null;

  start(): void {
    this.#done = this.#run();
    this.#warnings.start();
  }

  /** False where its tables cannot be read again. */
  get hasSnapshots(): boolean {
    const module = this.#deps.modules.sources.find(({ id }) => id === this.#spec.kind);
    return module?.hasSnapshots ?? true;
  }

  /** Tries again after a failure that needed a person, of the source or of some of its tables. */
  resume(): void {
    if (this.#setAside.size > 0) this.#restart.abort();
    this.#setAside.clear();
    this.#resumed?.();
  }

  /** Ends after the batch in hand is durable. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
    await this.#warnings.close();
  }

  /**
   * Takes new snapshots of these tables (schema.table), for every pipeline that reads them. The wish is durable when
   * resolved. A snapshot under way is not disturbed by it: one of the same table is taken once it has ended.
   */
  async requestSnapshots(tables: readonly string[]): Promise<void> {
    if (!this.hasSnapshots) return;
    await this.#snapshots.wish(tables);
    if (this.#snapshots.isDue) this.#restart.abort();
  }

  /** Of these tables the state says that they want a snapshot: takes those that nobody has told this process of. */
  async hearWishes(tables: readonly string[]): Promise<void> {
    if (this.#source === null || !this.hasSnapshots) return;
    await this.#snapshots.hear(tables);
    if (this.#snapshots.isDue) this.#restart.abort();
  }

  readRows(table: string, schema: Schema, keys: readonly Row[], signal: AbortSignal): Promise<Map<number, Row>> {
    const source = this.#source;
    if (!source) {
      throw new DailiesError(
        'source_unreachable',
        `The source ${this.name} is not connected, so no row can be read again.`,
      );
    }
    return source.readRows(table, schema, keys, signal);
  }

  async #run(): Promise<void> {
    const backOff = new BackOff({ minMs: 500, maxMs: 30_000 });
    while (!this.#stop.signal.aborted) {
      this.#restart = new AbortController();
      const startedMs = performance.now();
      try {
        await this.#follow(AbortSignal.any([this.#stop.signal, this.#restart.signal]));
        backOff.reset();
      } catch (thrown) {
        if (this.#stop.signal.aborted) break;
        if (this.#restart.signal.aborted) continue;
        const error = stateError(thrown);
        this.#deps.report(`source ${this.name}: ${error.message}`);
        if (performance.now() - startedMs > 60_000) {
          backOff.reset();
          this.#failures.clear();
        }
        if (this.#setTableAside(error)) continue;
        const isFailed = errorPolicy[error.code] !== 'auto' && !this.#lostPlace.isReadAgain(error);
        await this.#progress.flush();
        await (isFailed ? this.#writeFailed(error) : this.#writeError(error));
        if (isFailed) await this.#untilResumed();
        else await wait(backOff.next(), this.#stop.signal);
        if (error.code === 'source_slot_lost') this.#forgetsPosition = true;
      }
    }
    await this.#progress.close();
  }

  /** Without `runtime` it can only be asked. */
  async #open(runtime: Pick<SourceDeps, 'runtime'> = {}): Promise<Source> {
    const { sources } = this.#deps.modules;
    const { module, config } = await parseEntry(
      sources,
      this.#spec,
      (spec) => this.#deps.resolveSecrets(spec),
      `The source ${this.name}`,
    );
    const { state, now } = this.#deps;
    return module.open(config, { name: this.name, memory: storedMemory(state, this.name), now, ...runtime });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { log, intake } = this.#deps;
    const source = await this.#open({ runtime: { intake, recent: () => batchesOf(log.recent(this.name)) } });
    const timers: NodeJS.Timeout[] = [];
    try {
      const discovered = await source.discover(signal);
      await log.discardOpen(this.name);
      const last = await log.last(this.name);
      this.#snapshots.beginPlan();
      const held = (table: string) => log.snapshotProgress(this.name, table);
      const tables = await planTables(this.#deps.state, this.name, discovered, {
        isLogEmpty: last === null || this.#forgetsPosition,
        hasSnapshots: this.hasSnapshots,
        setAside: this.#setAside,
        held,
      });
      this.#planned = tables.size;
      const from = this.#forgetsPosition ? null : (last?.position ?? null);
      await this.#snapshots.plan(tables, held);
      // A wish that came while the tables were planned is taken up at once.
      if (this.#snapshots.isDue) return;
      for (const { name, schema } of discovered) this.#schemas.set(name, schema);
      this.#source = source;
      await this.#writeRunning();
      this.#onTables();
      const rediscover = latestOnly(() => this.#rediscover(source, discovered.map(identity), signal));
      const onTables = () => rediscover(null);
      timers.push(
        setInterval(() => void this.#trim(), trimEveryMs),
        setInterval(onTables, discoverEveryMs),
      );
      await this.#pump(source, source.changes({ from, tables, onTables }, signal));
      if (!signal.aborted) {
        throw new DailiesError('source_protocol', `The source ${this.name} ended its stream of changes unasked.`);
      }
    } finally {
      this.#source = null;
      for (const timer of timers) clearInterval(timer);
      await source.close();
    }
  }

  /** Moves batches into the log, several at once, but never more than `maxPendingBytes` that are not durable. */
  async #pump(source: Source, batches: AsyncIterable<Batch>): Promise<void> {
    const { log } = this.#deps;
    let failure: { thrown: unknown } | null = null;
    let settled: Promise<void> = Promise.resolve();
    const acknowledge = latestOnly(async (position: SourcePosition) => {
      failpoint('before-ack');
      await source.ack(position);
      failpoint('after-ack');
    });
    const settle = async (batch: Batch, appended: Promise<unknown>, before: Promise<void>) => {
      try {
        await appended;
        await before;
        if (failure) return;
        failpoint('after-log-append');
        if (batch.items.some(({ kind }) => kind === 'snapshot-chunk')) failpoint('after-chunk-append');
        await this.#onDurable(batch);
        await acknowledge(batch.position);
      } catch (thrown) {
        failure ??= { thrown };
      }
    };
    try {
      for await (const batch of batches) {
        failpoint('before-log-append');
        settled = settle(batch, log.append(this.name, [batch]), settled);
        if (log.pendingBytes(this.name) > maxPendingBytes) await settled;
        if (failure) break;
      }
    } finally {
      await settled;
    }
    if (failure) throw (failure as { thrown: unknown }).thrown;
  }

  async #onDurable(batch: Batch): Promise<void> {
    this.#position = batch.position;
    this.#coveredMicros = batch.timeMicros;
    if (batch.items.length > 0) this.#sourceMicros = batch.timeMicros;
    this.#forgetsPosition = false;
    this.#progress.touch();
    for (const item of batch.items) {
      if (item.kind === 'snapshot-chunk' || item.kind === 'snapshot-end') {
        this.#failures.delete(tableOf(item).slice(this.name.length + 1));
      }
      const schema = schemaOf(item);
      if (schema) await this.#onSchema(tableOf(item), schema);
      if (await this.#snapshots.follow(item, tableOf(item).slice(this.name.length + 1))) await this.#onSnapshotEnd();
    }
  }

  /** Stores a table's shape where the stream tells of another than we know. */
  async #onSchema(fullName: string, schema: Schema): Promise<void> {
    const table = fullName.slice(this.name.length + 1);
    const known = this.#schemas.get(table);
    if (known === schema) return;
    this.#schemas.set(table, schema);
    if (known && schemasEqual(known, schema)) return;
    await this.#deps.state.sourceTable.updateMany({
      where: { sourceName: this.name, name: table },
      data: { schema: asJson(schema) },
    });
  }

  async #onSnapshotEnd(): Promise<void> {
    if (this.#snapshots.isIdle) {
      this.#lostPlace.settle();
      await this.#writeRunning();
    }
    this.#onTables();
    if (this.#snapshots.isDue) this.#restart.abort();
  }

  /** Tables come and go while we follow; a difference starts the loop again, but never within a snapshot that would begin anew. */
  async #rediscover(source: Source, known: readonly string[], signal: AbortSignal): Promise<void> {
    if (this.#snapshots.isBound) return;
    try {
      const now = (await source.discover(signal)).map(identity);
      const isSame = now.length === known.length && now.every((table) => known.includes(table));
      if (!isSame && !this.#snapshots.isBound) this.#restart.abort();
    } catch (thrown) {
      if (signal.aborted) return;
      const error = stateError(thrown);
      this.#deps.report(`source ${this.name}: its tables could not be listed: ${error.message}`);
      // A table that was dropped or renamed under us: the others go on, and somebody has to know.
      if (error.code === 'table_unknown') await this.#writeError(error);
    }
  }

  async #trim(): Promise<void> {
    try {
      await this.#deps.log.trim(this.name);
    } catch (thrown) {
      this.#deps.report(`source ${this.name}: ${stateError(thrown).message}`);
    }
  }

  /** True if the error is of one table alone, which is then left out so that the rest goes on. */
  #setTableAside(error: DailiesError): boolean {
    const { table } = error.details;
    if (typeof table !== 'string') return false;
    const name = table.startsWith(`${this.name}.`) ? table.slice(this.name.length + 1) : table;
    if (this.#setAside.has(name)) return false;
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    const isHopeless = errorPolicy[error.code] === 'auto' ? failures >= mostFailures : tableErrors.includes(error.code);
    // Where none would be left the source itself says what it lacks.
    const isLast = error.code === 'source_not_ready' && this.#planned < 2;
    if (!isHopeless || isLast) return false;
    this.#failures.delete(name);
    this.#setAside.set(name, error.toJSON());
    return true;
  }

  async #untilResumed(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#resumed = resolve;
      this.#stop.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#resumed = null;
    this.failedAt = null;
  }

  async #writeRunning(): Promise<void> {
    const state = this.#snapshots.isIdle ? 'running' : 'snapshotting';
    await this.#deps.state.source.updateMany({ where: { name: this.name }, data: { state, lastError: noJson } });
  }

  async #writeFailed(error: DailiesError): Promise<void> {
    const { state, report } = this.#deps;
    const data = { state: 'failed', lastError: asJson(error.toJSON()) };
    this.failedAt = await storeFailure(
      () => state.source.updateManyAndReturn({ where: { name: this.name }, data, select: { updatedAt: true } }),
      { report: (message) => report(`source ${this.name}: ${message}`), signal: this.#stop.signal },
    );
  }

  async #writeError(error: DailiesError): Promise<void> {
    try {
      const data = { lastError: asJson(error.toJSON()) };
      await this.#deps.state.source.updateMany({ where: { name: this.name }, data });
    } catch (thrown) {
      this.#deps.report(`source ${this.name}: its state could not be stored: ${stateError(thrown).message}`);
    }
  }

  async #writeProgress(): Promise<void> {
    await this.#snapshots.write();
    const { sourceTime, coveredAt } = {
      sourceTime: dateOf(this.#sourceMicros),
      coveredAt: dateOf(this.#coveredMicros),
    };
    await this.#deps.state.source.updateMany({
      where: { name: this.name },
      data: { position: this.#position, ...(coveredAt ? { coveredAt } : {}), ...(sourceTime ? { sourceTime } : {}) },
    });
  }
}

async function* batchesOf(records: AsyncIterable<LogRecord>): AsyncGenerator<Batch> {
  for await (const record of records) yield record.batch();
}

function identity(table: { name: string; refusal: string | null }): string {
  return `${table.name} ${table.refusal ?? ''}`;
}
