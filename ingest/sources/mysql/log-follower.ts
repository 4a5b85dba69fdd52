import { DailiesError } from '#catalog/error.ts';
import type { Batch, SourcePosition } from '../../event.ts';
import type { BinlogBegin, BinlogEnd, BinlogItem, BinlogQuery, BinlogRows, BinlogTable } from './binlog/binlog-item.ts';
import type { BinlogOptions, BinlogStream } from './binlog/binlog-stream.ts';
import { parseGtidSet } from './binlog/gtid.ts';
import { Cascades } from './cascades.ts';
import { ChangeBatch } from './change-batch.ts';
import type { RowCompleter } from './complete-rows.ts';
import type { Connection, ServerVersion } from './connection.ts';
import { findTables } from './discovery.ts';
import { formatPosition, type Position } from './position.ts';
import { preparedRows } from './prepared-rows.ts';
import { RowEvents } from './row-events.ts';
import { serverHead } from './server-head.ts';
import type { Snapshots } from './snapshots.ts';
import { hasPassed } from './table-chunks.ts';
import type { ShapeContext } from './table-shape.ts';
import type { TableWatch } from './table-watch.ts';

const tellEveryMs = 700;
const batchBytes = 4 << 20;
/** Of one transaction that memory holds until its end is known. */
const openBytes = 16 << 20;

export interface FollowerDeps {
  version: ServerVersion;
  context: ShapeContext;
  control: Connection;
  stream: BinlogStream;
  /** Another reader of the same log, from another place on. */
  optionsFrom(gtids: string): BinlogOptions;
  snapshots: Snapshots;
  watch: TableWatch;
  completer: RowCompleter;
  /** Read again when a statement may have changed foreign keys. */
  cascades: { current: Cascades };
  isFollowed(table: string): boolean;
  start: { position: Position; timeMicros: bigint };
  saveMemory(): Promise<void>;
  signal: AbortSignal;
}

/** Turns what the log tells into batches, with the snapshots' between them. */
export class LogFollower {
  readonly #deps: FollowerDeps;
  readonly #rows: RowEvents;
  readonly #batch: ChangeBatch;
  /** All that was read, as text of a GTID set. */
  #gtids: string;
  /** XA transactions that wait for their end: what was before each one's PREPARE. */
  readonly #prepared: Map<string, string>;
  /** The transaction being read, and the tables it has changed. */
  #begin: BinlogBegin | null = null;
  readonly #touched = new Set<string>();
  /** Tables of which it may have changed more, or less, than it tells. */
  readonly #unsure = new Set<string>();
  /** True once a place in the log of this server is known. */
  #isPlaced = false;
  #toldMs = 0;
  /** Places that somebody waits for the stream to pass; null: any. */
  #expected: (SourcePosition | null)[] = [];
  #wake: () => void = () => {};
  #pending: Promise<readonly BinlogItem[] | null> | null = null;

  constructor(deps: FollowerDeps) {
    const { position, timeMicros } = deps.start;
    this.#deps = deps;
    this.#batch = new ChangeBatch(formatPosition(position), timeMicros);
    this.#gtids = position.gtids.toString();
    this.#prepared = new Map(position.prepared);
    const describe = async ({ database, name }: BinlogTable) => {
      const [found] = await findTables(deps.control, [`${database}.${name}`], true);
      return found;
    };
    this.#rows = new RowEvents(deps.context, describe, (table) => deps.snapshots.isReadAgain(table));
  }

  /** Asks for a complete batch as soon as the stream has passed `place`. */
  expect(place: SourcePosition | null): void {
    this.#expected.push(place);
    this.#wake();
  }

  /** Ends a wait for the server. */
  wake(): void {
    this.#wake();
  }

  async *follow(): AsyncGenerator<Batch> {
    yield* this.#tell(this.#batch.timeMicros);
    for (;;) {
      const items = await this.#read();
      if (this.#deps.signal.aborted) return;
      for (const item of items) {
        if (!this.#batch.isInTransaction && this.#deps.snapshots.isBarrier(item)) yield* this.#passBarrier();
        yield* this.#take(item);
        if (this.#batch.bytes >= batchBytes) yield* this.#flush();
      }
      yield* this.#flush();
      if (this.#isExpected()) yield* this.#tell(this.#batch.timeMicros);
    }
  }

  /** What comes next; nothing if somebody expects a batch that can be had at once. */
  async #read(): Promise<readonly BinlogItem[]> {
    this.#pending ??= this.#deps.stream.read();
    const woken = new Promise<'woken'>((resolve) => {
      this.#wake = () => resolve('woken');
    });
    if (this.#isExpected()) return [];
    const items = await Promise.race([this.#pending, woken]);
    if (items === 'woken') return [];
    this.#pending = null;
    if (items !== null || this.#deps.signal.aborted) return items ?? [];
    throw new DailiesError('source_unreachable', 'The stream of changes ended.');
  }

  async *#take(item: BinlogItem): AsyncGenerator<Batch> {
    switch (item.kind) {
      case 'begin':
        this.#beginTransaction(item);
        return;
      case 'rows':
        // Those of a transaction that is only prepared come when it is committed.
        if (this.#begin?.xid == null) yield* this.#takeRows(item);
        return;
      case 'query':
        await this.#takeQuery(item);
        return;
      case 'idle':
        if (this.#batch.isInTransaction) return;
        this.#isPlaced = true;
        this.#gtids = item.position;
        this.#batch.advance(this.#positionAt(item));
        await this.#deps.snapshots.begin(this.#batch.position);
        if (this.#isTellDue()) yield* this.#tellIdle();
        return;
      case 'commit':
      case 'rollback':
      case 'prepare':
        yield* this.#takeEnd(item);
        if (this.#isTellDue()) yield* this.#tell(this.#batch.timeMicros);
    }
  }

  #beginTransaction(begin: BinlogBegin): void {
    this.#begin = begin;
    this.#touched.clear();
    this.#unsure.clear();
    const { log, logPosition, timeMicros } = begin;
    const gtids = parseGtidSet(this.#deps.version.flavor, this.#gtids);
    gtids.add(begin.gtid);
    const position = formatPosition({ gtids, log, logPosition, prepared: this.#prepared });
    this.#batch.begin({ id: begin.gtid, position, timeMicros });
  }

  async *#takeRows(item: BinlogRows): AsyncGenerator<Batch> {
    const { table, bytes } = item;
    const name = `${table.database}.${table.name}`;
    const { snapshots, cascades, isFollowed } = this.#deps;
    if (!item.tellsCascades && cascades.current.isParent(name))
      for (const child of cascades.current.changedBy(item)) this.#unsure.add(child);
    if (!isFollowed(name) || snapshots.isLeftOut(name, this.#begin)) return;
    const shape = await this.#rows.shapeOf(table);
    this.#touched.add(name);
    this.#batch.addBytes(bytes);
    if (!this.#rows.add(this.#batch, item, shape)) this.#unsure.add(name);
    // What may still be undone is handed out only where memory cannot hold it.
    if (this.#batch.openBytes >= openBytes) yield* this.#flush(true);
  }

  async #takeQuery(query: BinlogQuery): Promise<void> {
    const { control, snapshots, watch, context, cascades } = this.#deps;
    const { truncated, outdated, rekeyed, mayChangeKeys, isTakenBack } = await watch.look(
      query,
      this.#begin?.gtid ?? null,
    );
    // Which of its rows these are is not told.
    if (isTakenBack) for (const name of this.#touched) this.#unsure.add(name);
    if (mayChangeKeys) cascades.current = await Cascades.read(control);
    for (const name of truncated) {
      if (snapshots.isLeftOut(name, this.#begin)) continue;
      const [table] = await findTables(control, [name], true);
      if (table) this.#rows.truncate(this.#batch, table);
    }
    for (const table of outdated) await snapshots.readAgain(table);
    if (rekeyed.length === 0) return;
    for (const name of rekeyed) context.memory.owe(name);
    await this.#deps.saveMemory();
    throw new DailiesError(
      'source_protocol',
      `The primary key of ${rekeyed.join(', ')} was changed; the source begins again to read it by the new one.`,
    );
  }

  async *#takeEnd(end: BinlogEnd): AsyncGenerator<Batch> {
    const { xa } = end;
    if (xa?.outcome === 'commit') yield* this.#replay(xa.xid);
    if (xa) this.#prepared.delete(xa.xid);
    if (end.kind === 'prepare' && end.xid !== null) this.#prepared.set(end.xid, this.#gtids);
    this.#isPlaced = true;
    this.#gtids = end.position;
    const position = this.#positionAt(end);
    if (end.kind === 'commit') {
      await this.#deps.snapshots.readSoon(await this.#deps.watch.followed(this.#unsure));
      this.#batch.commit(position);
    } else await this.#undo(end.kind, position);
    this.#begin = null;
    await this.#deps.snapshots.begin(position);
  }

  /** What was done to tables that cannot roll back stays done; what is handed out already is mended by reading again. */
  async #undo(kind: 'rollback' | 'prepare', position: SourcePosition): Promise<void> {
    const tables = await findTables(this.#deps.control, [...this.#touched], true);
    const isLasting = (name: string) =>
      kind === 'rollback' && tables.some((table) => table.name === name && !table.isTransactional);
    if (this.#batch.isCut) {
      for (const table of tables) if (!isLasting(table.name)) await this.#deps.snapshots.readAgain(table);
    }
    this.#batch.rollback(position, (shape) => !isLasting(shape.table));
  }

  /** Rows of a transaction that was prepared earlier, maybe in an earlier run, and is committed now: read from the log again. */
  async *#replay(xid: string): AsyncGenerator<Batch> {
    const { optionsFrom, snapshots, watch, signal } = this.#deps;
    const before = this.#prepared.get(xid);
    if (before !== undefined) {
      for await (const item of preparedRows(optionsFrom(before), xid, signal)) yield* this.#takeRows(item);
      return;
    }
    // Prepared before our history begins: nobody has told what it changed.
    for (const table of await watch.all()) await snapshots.readAgain(table);
  }

  // ── handing out ─────────────────────────────────────────────────────────────────────────────────────────────

  async *#flush(isOpenToo = false): AsyncGenerator<Batch> {
    for (let batch = this.#batch.take(isOpenToo); batch !== null; batch = this.#batch.take(isOpenToo)) {
      yield* this.#handOut(batch);
    }
  }

  /** A batch without items, between two transactions. */
  async *#tell(timeMicros: bigint): AsyncGenerator<Batch> {
    yield* this.#flush();
    if (!this.#batch.isInTransaction) yield* this.#handOut(this.#batch.takeEmpty(timeMicros));
  }

  #isTellDue(): boolean {
    return performance.now() - this.#toldMs >= tellEveryMs;
  }

  /** How far everything is known, by the server's clock from before its end of history was asked. */
  async *#tellIdle(): AsyncGenerator<Batch> {
    const { control, version } = this.#deps;
    const { position, timeMicros } = await serverHead(control, version);
    const isAllRead = parseGtidSet(version.flavor, this.#gtids).contains(position.gtids);
    if (isAllRead) yield* this.#tell(timeMicros);
  }

  async *#passBarrier(): AsyncGenerator<Batch> {
    yield* this.#tell(this.#batch.timeMicros);
    yield* this.#deps.snapshots.passBarrier(this.#batch.position, this.#batch.timeMicros);
  }

  async *#handOut(batch: Batch): AsyncGenerator<Batch> {
    const { snapshots, version, completer, saveMemory } = this.#deps;
    await completer.complete(batch, this.#rows.takeIncomplete(), (table) => snapshots.isInHand(table));
    snapshots.observe(batch);
    await saveMemory();
    this.#toldMs = performance.now();
    yield batch;
    if (!batch.isComplete) return;
    const { position } = batch;
    this.#expected = this.#expected.filter((place) => place !== null && !hasPassed(version.flavor, position, place));
    yield* snapshots.place(batch, this.#isPlaced);
  }

  #isExpected(): boolean {
    if (this.#batch.isInTransaction || this.#expected.length === 0) return false;
    const { flavor } = this.#deps.version;
    return this.#expected.some((place) => place === null || hasPassed(flavor, this.#batch.position, place));
  }

  #positionAt({ log, logPosition }: { log: string; logPosition: number }): SourcePosition {
    return formatPosition({ gtids: this.#gtids, log, logPosition, prepared: this.#prepared });
  }
}
