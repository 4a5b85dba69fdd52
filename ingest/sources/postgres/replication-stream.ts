import type { Row, UNKNOWN, Value } from '#catalog/schemas/schema.ts';
import type { Op } from '../../event.ts';
import { BatchBuilder } from './batch-builder.ts';
import { databaseError } from './connection.ts';
import { CopyBoth, unreadable } from './copy-both.ts';
import { ddlPrefix } from './ddl-trigger.ts';
import { malformed } from './decode-value.ts';
import { ItemQueue } from './item-queue.ts';
import { KnownRelations } from './known-relations.ts';
import { fromStandIn, maxMessageBytes, type Oversized, OversizedChange } from './oversized-change.ts';
import {
  type Commit,
  type LogicalMessage,
  type PgoutputHandler,
  type RelationMessage,
  readMessage,
} from './pgoutput.ts';
import type { Relation } from './relation.ts';
import { isCommitFrom, prepareConnection, startStatement, statusUpdate } from './replication-wire.ts';
import { SpoolReplay } from './spool-replay.ts';
import type { Incomplete, StreamItem } from './stream-item.ts';
import type { StreamOptions } from './stream-options.ts';
import { StreamQuiet } from './stream-quiet.ts';
import { StreamedTransactions } from './streamed-transactions.ts';
import type { TransactionSpool } from './transaction-spool.ts';

const highBytes = 8 << 20;
const lingerMs = 15;
const tickMs = 500;

const STREAM_STOP = 69;

/**
 * The stream of a slot as batches of whole transactions. The wire, inside CopyData both ways, integers big-endian:
 *
 *     server   w  Int64 start · Int64 end · Int64 clock · a pgoutput message
 *              k  Int64 end · Int64 clock · Byte1 reply asked
 *     client   r  Int64 received · Int64 flushed · Int64 applied · Int64 clock · Byte1 reply asked
 *
 * `flushed` is only ever what `acknowledge` was told. Reading rests while more than 8 MB of decoded batches wait, while a
 * table's shape is looked up, and at a barrier; status goes on being sent, so the server does not give us up. A transaction
 * that the server tells while it is under way waits in its spool and is decoded when it has committed.
 */
export class ReplicationStream implements PgoutputHandler {
  readonly #options: StreamOptions;
  readonly #builder: BatchBuilder;
  readonly #quiet: StreamQuiet;
  readonly #relations = new KnownRelations();
  readonly #streams = new StreamedTransactions();
  readonly #queue = new ItemQueue<StreamItem>();
  #incomplete: Incomplete[] = [];
  #copy: CopyBoth | null = null;
  /** Reads the spool of the transaction that has just committed. */
  #replay: SpoolReplay | null = null;
  #isResolving = false;
  #isAtBarrier = false;
  #acknowledged: bigint;
  /** Tables that the next barrier's rows replace, whose events until then are in a shape that nobody knows yet. */
  readonly #leftOut = new Set<string>();
  /** Of the transaction at hand, as its beginning has told. */
  #begun: { commitLsn: bigint; timeMicros: bigint; xid: number } | null = null;
  #lastEnd = 0n;
  #isSkipping = false;
  #isHolding = false;
  #barrier: { position: bigint; tables: ReadonlySet<string> } | null = null;
  #oversized: OversizedChange | null = null;
  #linger: NodeJS.Timeout | null = null;
  #tick: NodeJS.Timeout | null = null;
  #failure: unknown = null;
  #isClosed = false;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#builder = new BatchBuilder(options.from, options.fromMicros);
    const { head, heartbeat } = options;
    this.#quiet = new StreamQuiet(this.#builder, { head, heartbeat, fail: (error) => this.fail(error) });
    this.#acknowledged = options.from;
    this.#barrier = options.barrier;
  }

  start(): void {
    this.#open().catch((error) => this.fail(error));
  }
  async #open(): Promise<void> {
    const { client } = this.#options;
    const major = await prepareConnection(client);
    if (this.#isClosed) return;
    this.#copy = new CopyBoth(
      client,
      {
        data: (bytes, start, end) => this.#data(bytes, start, end),
        piece: (bytes, left) => this.#piece(bytes, left),
        end: (error) => this.fail(error),
      },
      this.#options.maxMessageBytes ?? maxMessageBytes,
    );
    const hasMessages = this.#options.logicalMessage !== undefined || this.#options.takeDdl !== undefined;
    this.#copy.start(startStatement({ ...this.#options, major, hasMessages }));
    this.#tick = setInterval(() => this.#onTick(), tickMs);
  }

  /** The next batch, or null once closed. */
  async read(): Promise<StreamItem | null> {
    for (;;) {
      const next = this.#queue.take();
      if (next !== undefined) {
        this.#updateFlow();
        return next;
      }
      if (this.#isClosed) return null;
      if (this.#failure !== null) throw this.#failure;
      await this.#queue.wait();
    }
  }

  /**
   * Only while `resolve` is being waited for, and with a position after all that was read. Until the barrier is passed
   * batches are not complete, for what they leave out of `tables` comes with the rows handed out there.
   */
  setBarrier(next: { position: bigint; tables: ReadonlySet<string> }): void {
    this.#barrier = next;
    this.#isHolding = true;
  }

  /** Leaves out this table's events until the barrier after the one that is set, which must be for it. */
  leaveOut(table: string): void {
    this.#leftOut.add(table);
  }

  /** Goes on behind the barrier, towards `next` if there is one. */
  passBarrier(next: { position: bigint; tables: ReadonlySet<string> } | null): void {
    const barrier = this.#barrier;
    this.#barrier = next;
    this.#isHolding = false;
    this.#leftOut.clear();
    if (barrier) this.#builder.advance(barrier.position);
    this.#relations.refresh();
    this.#isAtBarrier = false;
    this.#updateFlow();
  }

  /** Hands out a batch, if need be without events, once `head` is passed: where the history ended at that time. */
  expect(head: { position: bigint; timeMicros: bigint }): void {
    this.#quiet.expect(head);
    this.#sendStatus(true);
    if (!this.#builder.isInTransaction && !this.#isHolding && !this.#isAtBarrier) this.#flushPassed();
  }

  /** Takes over text columns that another reader has needed, for all that is decoded from now on. */
  refresh(): void {
    this.#relations.refresh();
  }

  /** Lets the server forget everything up to here. */
  acknowledge(upTo: bigint): void {
    if (upTo <= this.#acknowledged) return;
    this.#acknowledged = upTo;
    this.#sendStatus(false);
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
    this.#queue.clear();
    this.#copy?.close();
  }

  /** Ends the stream: `read` throws this once all before it was read. */
  fail(error: unknown): void {
    if (this.#isClosed || this.#failure !== null) return;
    this.#failure = databaseError(error);
    // What has come whole is told.
    if (this.#builder.events > 0 && !this.#builder.isInTransaction) this.#flush();
    this.#stop();
  }

  #stop(): void {
    if (this.#tick) clearInterval(this.#tick);
    if (this.#linger) clearTimeout(this.#linger);
    this.#streams.discard();
    this.#queue.wake();
    this.#replay?.stop();
  }

  #data(bytes: Buffer, start: number, end: number): boolean {
    if (this.#isClosed || this.#failure !== null) return true;
    if (bytes[start] === 107 && end === start + 18) {
      this.#keepalive(bytes, start);
      return true;
    }
    const at = start + 25;
    if (bytes[start] !== 119 || at >= end) throw malformed();
    if (this.#streams.isInStream && bytes[at] !== STREAM_STOP) {
      this.#streams.append(bytes, at, end, () => this.#relations.nextArrival());
      return true;
    }
    if (this.#barrier !== null && isCommitFrom(this.#barrier.position, bytes, at, end)) {
      this.#stopAtBarrier();
      return false;
    }
    this.#builder.bytes += end - at;
    readMessage(bytes, at, end, false, this);
    return true;
  }

  #keepalive(bytes: Buffer, start: number): void {
    const end = bytes.readBigUInt64BE(start + 1);
    if (bytes[start + 17] === 1) this.#sendStatus(false);
    if (this.#begun !== null || this.#streams.isInStream) return;
    if (end > this.#builder.position) this.#builder.position = end;
    if (this.#barrier && end >= this.#barrier.position) this.#stopAtBarrier();
    else this.#flushPassed();
  }

  #flushPassed(): void {
    if (this.#builder.events === 0 && this.#queue.isEmpty && this.#quiet.hasPassed()) this.#flush();
  }

  #stopAtBarrier(): void {
    if (this.#builder.events > 0) this.#flush();
    this.#isAtBarrier = true;
    this.#push({ kind: 'barrier' }, 0);
  }

  begin(commitLsn: bigint, timeMicros: bigint, xid: number): void {
    if (this.#begun !== null || commitLsn < this.#lastEnd) throw malformed();
    this.#begun = { commitLsn, timeMicros, xid };
    this.#isSkipping = commitLsn < this.#options.from;
    this.#builder.begin(String(xid), commitLsn, timeMicros);
  }

  commit({ commitLsn, endLsn, timeMicros }: Commit): void {
    const begun = this.#begun;
    if (begun?.commitLsn !== commitLsn || begun.timeMicros !== timeMicros || endLsn <= commitLsn) throw malformed();
    this.#begun = null;
    this.#lastEnd = endLsn;
    const isCut = this.#builder.isCut;
    this.#builder.commit(endLsn);
    if (isCut || this.#builder.isFull) this.#flush();
    else if (this.#builder.events > 0) this.#linger ??= setTimeout(() => this.#flushWhole(), lingerMs);
  }

  relation(message: RelationMessage): void {
    if (this.#begun === null) throw malformed();
    const { resolve } = this.#options;
    this.#rest(resolve(message, this.#begun), (relation) => this.#relations.add(message.oid, relation));
  }

  /** Reads nothing more until the work is done. */
  #rest<Result>(work: Promise<Result>, take: (result: Result) => void): void {
    this.#isResolving = true;
    this.#updateFlow();
    const end = (result: Result) => {
      take(result);
      this.#isResolving = false;
      this.#updateFlow();
    };
    work.then(end).catch((error) => this.fail(error));
  }

  relationOf(oid: number): Relation | null {
    if (this.#begun === null) throw malformed();
    const relation = this.#relations.of(oid);
    if (relation === null || this.#isSkipping) return null;
    return this.#isLeftOut(relation.table) ? null : relation;
  }

  #isLeftOut(table: string): boolean {
    return this.#leftOut.has(table) || this.#barrier?.tables.has(table) === true;
  }

  event(relation: Relation, op: Op, before: Row | null, after: Row | null): void {
    this.#builder.add(relation, op, before, after);
    if (this.#builder.isOverlong) this.#flush();
  }

  movedWithout(relation: Relation, row: (Value | typeof UNKNOWN)[]): void {
    this.#incomplete.push({ relation, row });
  }

  logicalMessage(message: LogicalMessage): void {
    const { takeDdl, logicalMessage, from } = this.#options;
    if (takeDdl && message.isTransactional && message.prefix === ddlPrefix && this.#begun !== null) {
      const place = { commitLsn: this.#begun.commitLsn, isPast: this.#isSkipping };
      this.#rest(takeDdl(message.content, place), (announced) => {
        for (const each of announced)
          if (!this.#isLeftOut(each.table)) this.#builder.announce(each.fullName, each.schema);
      });
    } else if (message.isTransactional ? !this.#isSkipping : message.lsn >= from) {
      logicalMessage?.(message);
    }
  }

  // ── transactions under way ──────────────────────────────────────────────────────────────────────────────────

  streamStart(xid: number, isFirst: boolean): void {
    if (this.#begun !== null) throw malformed();
    this.#streams.start(xid, isFirst);
  }

  streamStop(): void {
    this.#streams.stop();
  }

  streamAbort(xid: number, subxid: number): void {
    this.#streams.abort(xid, subxid);
  }

  streamCommit(xid: number, commit: Commit): void {
    if (this.#begun !== null) throw malformed();
    const spool = this.#streams.take(xid);
    this.#tell(xid, commit, spool).catch((error) => this.fail(unreadable(error)));
  }

  /** Decodes a transaction that has committed from its spool, as if it came only now; the socket rests meanwhile. */
  async #tell(xid: number, commit: Commit, spool: TransactionSpool): Promise<void> {
    this.#replay = new SpoolReplay((bytes, start, end) => this.#replayed(bytes, start, end));
    this.#updateFlow();
    try {
      const rolledBack = await this.#options.rolledBack(spool.xids.filter((each) => each !== xid));
      this.#relations.beginReplay(spool.arrivals);
      this.begin(commit.commitLsn, commit.timeMicros, xid);
      if (!(await this.#replay.run(spool, rolledBack, () => this.#mustRest()))) return;
      this.#relations.endReplay();
      this.commit(commit);
    } finally {
      spool.discard();
      this.#replay = null;
    }
    this.#updateFlow();
  }

  #replayed(bytes: Buffer, start: number, end: number): void {
    this.#builder.bytes += end - start;
    const oversized = fromStandIn(bytes, start);
    if (oversized === null) readMessage(bytes, start, end, true, this);
    else this.#refuse(oversized);
  }

  #piece(bytes: Buffer, left: number): void {
    if (this.#isClosed || this.#failure !== null) return;
    this.#oversized ??= new OversizedChange(this.#streams.isInStream);
    this.#oversized.take(bytes);
    if (left > 0) return;
    const found = this.#oversized.end();
    this.#oversized = null;
    if (found === null) return;
    if (found.xid === null) this.#refuse(found);
    else this.#streams.appendOversized(found.xid, found);
  }

  #refuse({ oid, column, bytes }: Oversized): void {
    const relation = this.relationOf(oid);
    if (relation) throw relation.tooLong(column, bytes);
  }

  #flushWhole(): void {
    this.#linger = null;
    // Inside a transaction its commit is on its way and takes all with it.
    if (this.#builder.events > 0 && !this.#builder.isInTransaction) this.#flush();
  }

  #flush(): void {
    if (this.#linger) clearTimeout(this.#linger);
    this.#linger = null;
    const bytes = this.#builder.bytes;
    const incomplete = this.#incomplete;
    this.#incomplete = [];
    this.#push({ kind: 'batch', batch: this.#builder.take(this.#isHolding), incomplete }, bytes);
  }

  #push(item: StreamItem, bytes: number): void {
    this.#queue.push(item, bytes);
    this.#quiet.batchTaken();
    this.#updateFlow();
  }

  #mustRest(): boolean {
    return this.#isResolving || this.#isAtBarrier || this.#queue.bytes > highBytes;
  }

  #updateFlow(): void {
    const mustRest = this.#mustRest();
    if (mustRest) this.#replay?.pause();
    else this.#replay?.resume();
    if (mustRest || this.#replay !== null) this.#copy?.pause();
    else if (this.#copy?.isPaused) this.#copy.resume();
  }

  #onTick(): void {
    this.#sendStatus(true);
    if (this.#isResolving || this.#isAtBarrier || this.#replay !== null || !this.#queue.isEmpty) return;
    const isQuiet = this.#builder.events === 0 && !this.#builder.isInTransaction && !this.#isHolding;
    if (this.#quiet.tick(isQuiet)) this.#flush();
  }

  #sendStatus(isReplyAsked: boolean): void {
    if (this.#isClosed || this.#failure !== null) return;
    this.#copy?.send(statusUpdate(this.#builder.position, this.#acknowledged, isReplyAsked));
  }
}
