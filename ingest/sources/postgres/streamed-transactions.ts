import { DailiesError } from '#catalog/error.ts';
import { malformed } from './decode-value.ts';
import { type Oversized, standInBytes, toStandIn } from './oversized-change.ts';
import { subtransactionOf } from './rolled-back.ts';
import { TransactionSpool } from './transaction-spool.ts';

const RELATION = 82;
const ORIGIN = 79;
const MESSAGE = 77;
/** What may stand in a transaction under way: I U D T R Y M O. */
const streamed: ReadonlySet<number | undefined> = new Set([73, 85, 68, 84, RELATION, 89, MESSAGE, ORIGIN]);

/** More than this in memory, over all transactions, goes to their files. */
const maxMemoryBytes = 8 << 20;

/**
 * The transactions that the server tells while they are under way:
 *
 *     stream start → messages → stream stop,   again and again, other transactions' between them
 *     stream abort of a subtransaction, or of the whole
 *     stream commit
 */
export class StreamedTransactions {
  readonly #spools = new Map<number, TransactionSpool>();
  #current: TransactionSpool | null = null;
  #xid = 0;

  /** True between a stream's start and its stop. */
  get isInStream(): boolean {
    return this.#current !== null;
  }

  /** Bytes held in memory. */
  get memoryBytes(): number {
    let bytes = 0;
    for (const spool of this.#spools.values()) bytes += spool.memoryBytes;
    return bytes;
  }

  start(xid: number, isFirst: boolean): void {
    const known = this.#spools.get(xid);
    if (this.#current !== null || (known === undefined) !== isFirst) throw outOfOrder('begins', xid);
    const spool = known ?? new TransactionSpool();
    this.#spools.set(xid, spool);
    this.#current = spool;
    this.#xid = xid;
  }

  /** A message of the transaction at hand; `arrive` numbers one that describes a table. */
  append(bytes: Buffer, at: number, end: number, arrive: () => number): void {
    const code = bytes[at];
    if (this.#current === null || !streamed.has(code) || end < at + 5) throw malformed();
    const xid = subtransactionOf(bytes, at, end) ?? this.#xid;
    this.#current.append(xid, bytes, at, end, code === RELATION ? arrive() : null);
  }

  /** A change of the transaction at hand that is too long to be held. */
  appendOversized(xid: number, oversized: Oversized): void {
    if (this.#current === null) throw malformed();
    this.#current.append(xid, toStandIn(oversized), 0, standInBytes, null);
  }

  stop(): void {
    if (this.#current === null) throw outOfOrder('pauses', 0);
    this.#current = null;
    if (this.memoryBytes > maxMemoryBytes) for (const spool of this.#spools.values()) spool.spill();
  }

  /**
   * Of one that was not told there is nothing to forget: Postgres 18 tells, too, that a subtransaction was rolled back which it
   * left out, since it had been by the time it was read (bug 19616).
   */
  abort(xid: number, subxid: number): void {
    if (this.#current !== null) throw outOfOrder('is rolled back', xid);
    const spool = this.#spools.get(xid);
    if (xid === subxid) {
      this.#spools.delete(xid);
      spool?.discard();
    } else {
      spool?.abort(subxid);
    }
  }

  /** The whole of a transaction that has committed; whoever takes it discards it. */
  take(xid: number): TransactionSpool {
    const spool = this.#spools.get(xid);
    if (spool === undefined || this.#current !== null) throw outOfOrder('commits', xid);
    this.#spools.delete(xid);
    return spool;
  }

  discard(): void {
    for (const spool of this.#spools.values()) spool.discard();
    this.#spools.clear();
    this.#current = null;
  }
}

function outOfOrder(what: string, xid: number): DailiesError {
  return new DailiesError(
    'source_protocol',
    `The stream of changes is out of order where transaction ${xid} ${what}.`,
    {
      details: { xid },
    },
  );
}
