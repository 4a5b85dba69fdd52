import { DailiesError } from '#catalog/error.ts';
import type { Schema } from '#catalog/schemas/schema.ts';
import { within } from '#catalog/wait.ts';
import {
  type BatchItem,
  isAnnouncement,
  type SnapshotRows,
  type SourcePosition,
  schemaOf,
  type TableChanges,
  tableOf,
} from '../event.ts';
import type { Log, LogRecord } from '../log.ts';
import type { ProcessorDeps } from '../processor.ts';
import type { PipelinePosition, Sink, SinkCommit } from '../sink.ts';
import { eventsOf } from '../snapshot-rows.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { LaneReplay } from './lane-replay.ts';
import { withMissingValues } from './missing-values.ts';
import { ofTable } from './refused-tables.ts';
import type { StartPlace } from './start-places.ts';
import type { StepChain } from './step-chain.ts';
import { withoutBefore } from './without-before.ts';

const defaultCommitEveryMs = 200;
/** A commit does not wait beyond these, times `mostPatience` at most where commits are to be rare. */
const commitEvents = 50_000;
const commitBytes = 32 << 20;
const mostPatience = 5;
/**
 * Where nothing but files of a snapshot waits, nobody waits for its commit: the target's files become large at once. As much
 * is read again after a crash.
 */
const filesEveryMs = 5_000;
const filesBytes = 128 << 20;
const groupEveryMs = 5_000;

export interface LaneDeps {
  log: Log;
  /** The topic, and the name under which positions are kept. */
  source: string;
  /** What the log keeps records for: a group for each table. */
  groups: readonly string[];
  sink: Sink;
  steps: StepChain;
  deadLetters: DeadLetters;
  /** Reads rows again as the source has them now. */
  readRows: ProcessorDeps['readRows'];
  /** Where each table begins, source.schema.table. */
  starts: ReadonlyMap<string, StartPlace>;
  /** Tables whose chunked snapshot is under way in the target. */
  chunked: ReadonlySet<string>;
  /** What is applied again before; null for nothing. */
  replay: LaneReplay | null;
  /** Everything of `replay` is committed. */
  onReplayed(): Promise<void>;
  /** How long changes wait, at most, for their commit; 200 if left out. */
  commitEveryMs?: number | undefined;
  nowMs: () => number;
  onCounts(counts: { in: number; out: number; rejected: number }): void;
  /** The sink holds everything up to `position`; `commits` tells of targets that changed, `timeMicros` of their newest change. */
  onCovered(position: PipelinePosition, commits: readonly SinkCommit[], timeMicros: bigint): void;
  /** The table's first snapshot in this lane is visible in the target. */
  onSnapshotLanded(table: string): void;
}

/** Thrown where a source began anew within what this lane had staged: open it again from what is committed. */
export class LaneVoided extends Error {}

interface LaneTable {
  from: number;
  awaitsSnapshot: boolean;
}

/**
 * One pipeline's way from one source's topic to one sink: batch by batch through the steps, committed where a batch
 * is complete. What is staged and not committed when the lane ends is void.
 */
export class Lane {
  readonly #deps: LaneDeps;
  readonly #tables: Map<string, LaneTable>;
  readonly #chunked: Set<string>;
  /** While older records are applied again nothing is committed. */
  #replay: LaneReplay | null;
  /** The last complete batch that is applied. */
  #covered: { offset: number; position: SourcePosition; timeMicros: bigint } | null = null;
  /** Part of a batch or of an incomplete run is staged: a commit now would show half of it. */
  #isOpen = false;
  #stagedEvents = 0;
  #stagedBytes = 0;
  /** Of what is staged only files of snapshots are no reason to commit soon. */
  #isOnlyFiles = true;
  /** Something is staged that only a commit makes visible. */
  #hasStaged = false;
  #isCommitting = false;
  #landing = new Set<string>();
  #committedMs = 0;
  #groupMs: number;
  #groupOffset = 0;

  constructor(deps: LaneDeps) {
    this.#deps = deps;
    const { starts, replay, chunked } = deps;
    this.#replay = replay;
    this.#chunked = new Set(chunked);
    this.#tables = new Map(
      [...starts].map(([table, start]) => [table, { ...start, from: replay?.fromOf(table) ?? start.from }]),
    );
    this.#groupMs = deps.nowMs();
  }

  get isReplaying(): boolean {
    return this.#replay !== null;
  }

  /**
   * Runs until `stop`, then finishes the batch in hand and commits it. `abort` ends calls that hang. Where a step or the
   * sink throws, what was complete before is committed first, so that it stands just before the batch that failed.
   */
  async run(stop: AbortSignal, abort: AbortSignal): Promise<void> {
    const { log, source } = this.#deps;
    const from = Math.min(...[...this.#tables.values()].map((table) => table.from));
    const records = log.read(source, from, stop)[Symbol.asyncIterator]();
    try {
      let next = records.next();
      next.catch(() => undefined);
      for (;;) {
        const result = await (this.#isDue() ? within(next, this.#commitInMs()) : next);
        if (result === 'late') {
          await this.#commit(abort);
          continue;
        }
        if (result.done) break;
        await this.#take(result.value, abort);
        if (stop.aborted) break;
        next = records.next();
        // It is awaited at the next turn; until then its failure is nobody's.
        next.catch(() => undefined);
        if (this.#isDue() && this.#commitInMs() <= 0) await this.#commit(abort);
      }
    } catch (thrown) {
      if (!abort.aborted && !this.#isOpen && !this.#isCommitting) await this.#finish(abort);
      throw thrown;
    } finally {
      await records.return?.();
    }
    if (!this.#isOpen) await this.#finish(abort);
  }

  async #finish(abort: AbortSignal): Promise<void> {
    if (this.#replay) return;
    await this.#commit(abort);
    await this.#moveGroup(true);
  }

  async #take(record: LogRecord, abort: AbortSignal): Promise<void> {
    if (record.isRestart && this.#isOpen) throw new LaneVoided();
    const mine = record.tables.filter(
      (table) => record.offset >= (this.#tables.get(table)?.from ?? Number.POSITIVE_INFINITY),
    );
    if (mine.length > 0) {
      const { items } = record.batch(new Set(mine));
      for (const item of items) await this.#bind(item, record.offset, abort);
      // What stands before a chunked snapshot is not of it.
      const isBegin = items.some((item) => item.kind === 'snapshot-begin' && item.isChunked);
      if ((!record.isComplete || isBegin) && !this.#isOpen && !this.#replay) await this.#commit(abort);
      this.#isOpen = true;
      for (const [index, item] of items.entries()) {
        await ofTable(tableOf(item), () => this.#apply(item, index, record, abort), record.offset);
      }
      const { deadLetters } = this.#deps;
      // A whole table may be refused in one go; its letters must not wait in memory for the end.
      if (deadLetters.isFull) await deadLetters.store();
      this.#stagedBytes += record.bytes;
    }
    if (!record.isComplete) return;
    this.#isOpen = false;
    this.#covered = { offset: record.offset, position: record.position, timeMicros: record.timeMicros };
    if (this.#replay) {
      if (record.offset + 1 >= this.#replay.until) await this.#endReplay(abort);
      return;
    }
    if (this.#isNews()) return;
    this.#deps.onCovered(this.#position(this.#covered), [], this.#covered.timeMicros);
    await this.#moveGroup(false);
  }

  /** Everything that the target held is applied again: it is as it was, or right by now. */
  async #endReplay(abort: AbortSignal): Promise<void> {
    await this.#commit(abort);
    this.#replay = null;
    await this.#deps.onReplayed();
  }

  /** Before anything of the batch is staged: a shape that the steps refuse stops the lane in front of it. */
  async #bind(item: BatchItem, offset: number, abort: AbortSignal): Promise<void> {
    const table = tableOf(item);
    const schema = schemaOf(item) && (this.#replay?.shapeAt(table, offset) ?? schemaOf(item));
    if (!schema) return;
    if (item.kind !== 'snapshot-begin' && this.#tables.get(table)?.awaitsSnapshot) return;
    const { steps } = this.#deps;
    await ofTable(
      table,
      () => (isAnnouncement(item) ? steps.announce(table, schema, abort) : steps.bind(table, schema, abort)),
      offset,
    );
  }

  async #apply(item: BatchItem, index: number, record: LogRecord, abort: AbortSignal): Promise<void> {
    const { sink } = this.#deps;
    const name = tableOf(item);
    const table = this.#tables.get(name);
    if (!table) throw new DailiesError('internal', `The table ${name} is none of this pipeline's.`);
    const older = this.#replay?.shapeAt(name, record.offset) ?? null;
    if (older && !this.#replay?.takesMarks(name) && isMark(item)) return;
    switch (item.kind) {
      case 'snapshot-begin': {
        table.awaitsSnapshot = false;
        const output = await this.#output(name, older ?? item.schema, abort);
        if (item.isChunked) this.#chunked.add(name);
        else this.#chunked.delete(name);
        if (item.isChunked) await sink.beginChunks(name, output, item.generation, abort);
        else await sink.beginSnapshot(name, output, abort);
        this.#stage();
        return;
      }
      case 'snapshot-end':
        if (table.awaitsSnapshot) return;
        await sink.endSnapshot(name, abort);
        this.#chunked.delete(name);
        this.#stage();
        if (!older) this.#landing.add(name);
        return;
      case 'changes':
        if (table.awaitsSnapshot) return;
        if (isAnnouncement(item)) await this.#announce(item.changes, record.offset, abort);
        else await this.#write(item.changes, index, record, abort);
        return;
      case 'snapshot-rows':
        if (!table.awaitsSnapshot) await this.#writeFile(item.snapshotRows, index, record, abort);
        return;
      case 'snapshot-chunk':
    }
  }

  /** Straight on to a sink that takes files where no step stands between, else row by row. */
  async #writeFile(file: SnapshotRows, item: number, record: LogRecord, abort: AbortSignal): Promise<void> {
    const { sink, steps, deadLetters, onCounts } = this.#deps;
    const replay = this.#replay?.shapeAt(file.table, record.offset) ? this.#replay : null;
    const isAsItIs = steps.isEmpty && replay?.takesFile(file) !== false;
    if (isAsItIs && (await sink.writeFile?.(file, abort))) {
      replay?.countFile(file.rows);
      this.#hasStaged = true;
      onCounts({ in: file.rows, out: file.rows, rejected: 0 });
      return;
    }
    const transaction = { id: '0', position: record.position, timeMicros: record.timeMicros };
    let list = 0;
    for await (const changes of eventsOf(file, transaction)) {
      await this.#write(changes, `${item}.${list++}`, record, abort);
      if (deadLetters.isFull) await deadLetters.store();
    }
  }

  /** What is replayed has come to the shape of its end already. */
  async #announce(changes: TableChanges, offset: number, abort: AbortSignal): Promise<void> {
    const { sink, steps } = this.#deps;
    if (this.#replay?.shapeAt(changes.table, offset)) return;
    await sink.write({ ...changes, schema: await steps.announce(changes.table, changes.schema, abort) }, abort);
    this.#stage();
  }

  #output(table: string, schema: Schema, abort: AbortSignal): Promise<Schema> {
    return this.#deps.steps.bind(table, schema, abort);
  }

  async #write(told: TableChanges, item: number | string, record: LogRecord, abort: AbortSignal): Promise<void> {
    const { sink, steps, deadLetters, source, onCounts } = this.#deps;
    const replay = this.#replay?.shapeAt(told.table, record.offset) ? this.#replay : null;
    const changes = replay?.changes(record.offset, told) ?? this.#whateverThereWas(told);
    if (replay && changes.events.length === 0) return;
    const output = await steps.bind(changes.table, changes.schema, abort);
    let rejectedCount = 0;
    const place = { source, offset: record.offset, item, position: record.position };
    const applied = await steps.apply(changes, abort, (step, input, rejected) => {
      rejectedCount += rejected.length;
      deadLetters.reject(step, input, rejected, place);
    });
    const out = await withMissingValues(applied, this.#deps, replay !== null, abort);
    deadLetters.passed(out);
    if (out.events.length > 0) {
      await sink.write(out.schema === output ? out : { ...out, schema: output }, abort);
      this.#stage();
      this.#stagedEvents += out.events.length;
    }
    onCounts({ in: changes.events.length, out: out.events.length, rejected: rejectedCount });
  }

  /**
   * While a table's rows come anew, other steps may have made those of before: what a row was at the source does not tell
   * whether it is there, and a step that leaves it out has to take it away.
   */
  #whateverThereWas(changes: TableChanges): TableChanges {
    const { steps, sink } = this.#deps;
    if (!this.#chunked.has(changes.table) || steps.isEmpty || sink.keepsChanges) return changes;
    return { ...changes, events: changes.events.map(withoutBefore) };
  }

  /** Something is staged that somebody waits for. */
  #stage(): void {
    this.#hasStaged = true;
    this.#isOnlyFiles = false;
  }

  #isNews(): boolean {
    return this.#hasStaged || this.#deps.deadLetters.hasNews;
  }

  #isDue(): boolean {
    return this.#covered !== null && !this.#isOpen && !this.#replay && this.#isNews();
  }

  #commitInMs(): number {
    const { commitEveryMs = defaultCommitEveryMs, nowMs, deadLetters } = this.#deps;
    if (this.#isOnlyFiles && !deadLetters.hasNews) {
      if (this.#stagedBytes >= filesBytes) return 0;
      return this.#committedMs + Math.max(filesEveryMs, commitEveryMs) - nowMs();
    }
    const patience = Math.min(mostPatience, Math.max(1, commitEveryMs / 1000));
    if (this.#stagedEvents >= commitEvents * patience || this.#stagedBytes >= commitBytes * patience) return 0;
    return this.#committedMs + commitEveryMs - nowMs();
  }

  async #commit(abort: AbortSignal): Promise<void> {
    const { sink, deadLetters, onCovered, onSnapshotLanded, nowMs } = this.#deps;
    const covered = this.#covered;
    if (!covered || !this.#isNews()) return;
    const position = this.#position(covered);
    this.#isCommitting = true;
    await deadLetters.store();
    // THE COMMIT POINT of this lane is within the sink; what follows may be lost and comes again.
    const commits = this.#hasStaged ? await sink.commit(position, abort) : [];
    await deadLetters.resolve();
    this.#isCommitting = false;
    this.#hasStaged = false;
    this.#isOnlyFiles = true;
    this.#stagedEvents = 0;
    this.#stagedBytes = 0;
    this.#committedMs = nowMs();
    const landed = this.#landing;
    this.#landing = new Set();
    for (const table of landed) onSnapshotLanded(table);
    onCovered(position, commits, covered.timeMicros);
    await this.#moveGroup(false);
  }

  async #moveGroup(isLast: boolean): Promise<void> {
    const { log, source, groups, nowMs } = this.#deps;
    if (!this.#covered || this.#isNews() || this.#isOpen) return;
    if (!isLast && nowMs() - this.#groupMs < groupEveryMs) return;
    const offset = this.#covered.offset + 1;
    if (offset === this.#groupOffset) return;
    await log.commitGroups(source, new Map(groups.map((group) => [group, offset])));
    this.#groupMs = nowMs();
    this.#groupOffset = offset;
  }

  #position(covered: { offset: number; position: SourcePosition; timeMicros: bigint }): PipelinePosition {
    const { offset, position, timeMicros } = covered;
    return { [this.#deps.source]: { offset, position, timeMicros: String(timeMicros) } };
  }
}

function isMark({ kind }: BatchItem): boolean {
  return kind === 'snapshot-begin' || kind === 'snapshot-end';
}
