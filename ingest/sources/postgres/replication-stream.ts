import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { Row, UNKNOWN, Value } from '#catalog/schemas/schema.ts';
import type { Batch, Op } from '../../event.ts';
import { BatchBuilder } from './batch-builder.ts';
import { databaseError, wire } from './connection.ts';
import { CopyOut } from './copy-out.ts';
import { formatLsn } from './lsn.ts';
import { type PgoutputHandler, POSTGRES_EPOCH_MICROS, type RelationMessage, readMessage } from './pgoutput.ts';
import type { Relation } from './relation.ts';
import { quoteIdentifier } from './sql.ts';

export interface StreamOptions {
  /** A replication connection that runs nothing else. */
  client: pg.Client;
  slot: string;
  publications: readonly string[];
  /** Transactions that committed before it are left out. */
  from: bigint;
  /** When the source was known to be at `from`, 0 if unknown. */
  fromMicros: bigint;
  /** Events of `tables` in transactions that committed before `position` are left out, and the stream stops there once. */
  barrier: { position: bigint; tables: ReadonlySet<string> } | null;
  /** The shape of a table that the stream announces; null for one that is not wanted. */
  resolve(message: RelationMessage): Promise<Relation | null>;
  /** Where the server's history ends, and the server's time just before that was asked. */
  head(): Promise<{ position: bigint; timeMicros: bigint }>;
  /** Writes something into the server's history that the stream will pass. */
  heartbeat(): Promise<void>;
}

export type Incomplete = { relation: Relation; row: (Value | typeof UNKNOWN)[] };

export type StreamItem =
  /** `incomplete`: rows under a new key whose unchanged TOAST values are still to be read. */
  | { kind: 'batch'; batch: Batch; incomplete: Incomplete[] }
  /** Everything before the barrier was handed out; nothing follows until `passBarrier`. */
  | { kind: 'barrier' };

const maxBytes = 1 << 20;
const maxEvents = 2_000;
const cutBytes = 4 << 20;
const cutEvents = 8_000;
const highBytes = 8 << 20;
const lingerMs = 15;
const tickMs = 500;
const idleMs = 900;
const heartbeatAfterMs = 1_500;

/**
 * The stream of a slot as batches of whole transactions. The wire, inside CopyData both ways, integers big-endian:
 *
 *     server   w  Int64 start · Int64 end · Int64 clock · a pgoutput message
 *              k  Int64 end · Int64 clock · Byte1 reply asked
 *     client   r  Int64 received · Int64 flushed · Int64 applied · Int64 clock · Byte1 reply asked
 *
 * `flushed` is only ever what `acknowledge` was told. The socket rests while more than 8 MB of decoded batches wait, while
 * a table's shape is looked up, and at a barrier; status goes on being sent, so the server does not give us up.
 */
export class ReplicationStream implements PgoutputHandler {
  readonly #options: StreamOptions;
  readonly #builder: BatchBuilder;
  readonly #relations = new Map<number, Relation | null>();
  readonly #queue: { item: StreamItem; bytes: number }[] = [];
  #queuedBytes = 0;
  #incomplete: Incomplete[] = [];
  /** Copies of messages that came while no message may be decoded; null while decoding goes on. */
  #held: Buffer[] | null = null;
  #acknowledged: bigint;
  /** Tables that the next barrier's rows replace, whose events until then are in a shape that nobody knows yet. */
  readonly #leftOut = new Set<string>();
  #isSkipping = false;
  #isHolding = false;
  #barrier: { position: bigint; tables: ReadonlySet<string> } | null = null;
  #probe: { position: bigint; timeMicros: bigint; atMs: number } | null = null;
  #isProbing = false;
  #lastBatchMs = performance.now();
  #lastHeartbeatMs = performance.now();
  #linger: NodeJS.Timeout | null = null;
  #tick: NodeJS.Timeout | null = null;
  #failure: unknown = null;
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#builder = new BatchBuilder(options.from, options.fromMicros);
    this.#acknowledged = options.from;
    this.#barrier = options.barrier;
  }

  start(): void {
    const { client, slot, publications, from } = this.#options;
    const names = publications
      .map((name) => quoteIdentifier(name))
      .join(',')
      .replaceAll("'", "''");
    const sql = `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${formatLsn(from)} (proto_version '1', publication_names '${names}')`;
    const onEnd = (error: Error | null) => {
      this.fail(
        error ?? new DailiesError('source_unreachable', 'The source ended the stream of changes: it is shutting down.'),
      );
    };
    client.query(new CopyOut(sql, (bytes) => this.#receive(bytes), onEnd) as unknown as pg.Submittable);
    this.#tick = setInterval(() => this.#onTick(), tickMs);
  }

  /** The next batch, or null once closed. */
  async read(): Promise<StreamItem | null> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        this.#queuedBytes -= next.bytes;
        this.#updateFlow();
        return next.item;
      }
      if (this.#isClosed) return null;
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
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
    for (const relation of this.#relations.values()) relation?.refresh();
    this.#release();
  }

  /** Lets the server forget everything up to here. */
  acknowledge(upTo: bigint): void {
    if (upTo <= this.#acknowledged) return;
    this.#acknowledged = upTo;
    this.#sendStatus(false);
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimers();
    this.#queue.length = 0;
    this.#wake();
  }

  // ── messages ────────────────────────────────────────────────────────────────────────────────────────────────

  #receive(bytes: Buffer): void {
    if (this.#isClosed || this.#failure !== null) return;
    if (this.#held !== null) this.#held.push(Buffer.from(bytes));
    else this.#handle(bytes);
  }

  #handle(bytes: Buffer): void {
    try {
      if (bytes[0] === 119) {
        if (this.#isAtBarrier(bytes)) this.#stopAtBarrier(bytes);
        else {
          this.#builder.bytes += bytes.length;
          readMessage(bytes, 25, this);
        }
      } else if (bytes[0] === 107) {
        this.#keepalive(bytes);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  #keepalive(bytes: Buffer): void {
    const end = bytes.readBigUInt64BE(1);
    if (bytes[17] === 1) this.#sendStatus(false);
    if (this.#builder.isInTransaction) return;
    if (end > this.#builder.position) this.#builder.position = end;
    if (this.#barrier && end >= this.#barrier.position) {
      this.#stopAtBarrier(null);
      return;
    }
    const probe = this.#probe;
    if (probe === null || this.#builder.events > 0 || this.#queue.length > 0) return;
    if (this.#builder.position < probe.position) return;
    if (probe.timeMicros > this.#builder.timeMicros) this.#builder.timeMicros = probe.timeMicros;
    this.#probe = null;
    this.#flush();
  }

  #isAtBarrier(bytes: Buffer): boolean {
    return this.#barrier !== null && bytes[25] === 66 && bytes.readBigUInt64BE(26) >= this.#barrier.position;
  }

  #stopAtBarrier(begin: Buffer | null): void {
    if (this.#builder.events > 0) this.#flush();
    this.#held = begin ? [Buffer.from(begin)] : [];
    this.#push({ kind: 'barrier' }, 0);
    this.#updateFlow();
  }

  /** Decodes what was held, until something must be waited for again. */
  #release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const [index, bytes] of held.entries()) {
      if (this.#isClosed || this.#failure !== null) return;
      this.#handle(bytes);
      // Set again by the message just handled: a shape to look up, a barrier.
      const again = this.#held as Buffer[] | null;
      if (again !== null) {
        again.push(...held.slice(index + 1));
        return;
      }
    }
    this.#updateFlow();
  }

  begin(commitLsn: bigint, timeMicros: bigint, xid: number): void {
    this.#isSkipping = commitLsn < this.#options.from;
    this.#builder.begin(String(xid), commitLsn, timeMicros);
  }

  commit(endLsn: bigint): void {
    const isCut = this.#builder.isCut;
    this.#builder.commit(endLsn);
    if (isCut || this.#builder.bytes >= maxBytes || this.#builder.events >= maxEvents) this.#flush();
    else if (this.#builder.events > 0) this.#linger ??= setTimeout(() => this.#flushWhole(), lingerMs);
  }

  relation(message: RelationMessage): void {
    this.#held = [];
    this.#updateFlow();
    this.#options.resolve(message).then(
      (relation) => {
        this.#relations.set(message.oid, relation);
        this.#release();
      },
      (error) => this.fail(error),
    );
  }

  relationOf(oid: number): Relation | null {
    if (this.#isSkipping) return null;
    const relation = this.#relations.get(oid) ?? null;
    if (relation === null || this.#leftOut.has(relation.table) || this.#barrier?.tables.has(relation.table))
      return null;
    return relation;
  }

  event(relation: Relation, op: Op, before: Row | null, after: Row | null): void {
    this.#builder.add(relation, op, before, after);
    if (this.#builder.bytes >= cutBytes || this.#builder.events >= cutEvents) this.#flush();
  }

  movedWithout(relation: Relation, row: (Value | typeof UNKNOWN)[]): void {
    this.#incomplete.push({ relation, row });
  }

  // ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────

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
    this.#queue.push({ item, bytes });
    this.#queuedBytes += bytes;
    this.#lastBatchMs = performance.now();
    this.#updateFlow();
    this.#wake();
  }

  #updateFlow(): void {
    const { stream } = wire(this.#options.client);
    if (this.#held !== null || this.#queuedBytes > highBytes) stream.pause();
    else stream.resume();
  }

  // ── the quiet ───────────────────────────────────────────────────────────────────────────────────────────────

  #onTick(): void {
    this.#sendStatus(true);
    if (this.#held !== null || this.#queue.length > 0) return;
    const now = performance.now();
    const isQuiet = this.#builder.events === 0 && !this.#builder.isInTransaction && !this.#isHolding;
    if (isQuiet && this.#builder.timeMicros > 0n && now - this.#lastBatchMs >= idleMs) this.#flush();
    if (this.#probe === null) void this.#findHead();
    else if (isQuiet && now - Math.max(this.#probe.atMs, this.#lastHeartbeatMs) >= heartbeatAfterMs) {
      this.#lastHeartbeatMs = now;
      this.#options.heartbeat().catch((error) => this.fail(error));
    }
  }

  async #findHead(): Promise<void> {
    if (this.#isProbing) return;
    this.#isProbing = true;
    try {
      const atMs = performance.now();
      this.#probe = { ...(await this.#options.head()), atMs };
    } catch (error) {
      this.fail(error);
    } finally {
      this.#isProbing = false;
    }
  }

  #sendStatus(isReplyAsked: boolean): void {
    if (this.#isClosed || this.#failure !== null) return;
    const message = Buffer.allocUnsafe(34);
    message[0] = 114;
    message.writeBigUInt64BE(this.#builder.position, 1);
    message.writeBigUInt64BE(this.#acknowledged, 9);
    message.writeBigUInt64BE(this.#acknowledged, 17);
    message.writeBigInt64BE(BigInt(Date.now()) * 1000n - POSTGRES_EPOCH_MICROS, 25);
    message[33] = isReplyAsked ? 1 : 0;
    wire(this.#options.client).sendCopyFromChunk(message);
  }

  /** Ends the stream: `read` throws this once all before it was read. */
  fail(error: unknown): void {
    if (this.#isClosed || this.#failure !== null) return;
    this.#failure = databaseError(error);
    this.#stopTimers();
    this.#wake();
  }

  #stopTimers(): void {
    if (this.#tick) clearInterval(this.#tick);
    if (this.#linger) clearTimeout(this.#linger);
  }
}
