import { type Row, type Schema, schemasEqual } from '#catalog/schemas/schema.ts';
import type { Batch, ChangeEvent, Op, TableChanges, Transaction } from '../../event.ts';
import { formatLsn } from './lsn.ts';
import type { Relation } from './relation.ts';

const maxBytes = 1 << 20;
const maxEvents = 2_000;
const cutBytes = 4 << 20;
const cutEvents = 8_000;

/**
 * Gathers events into batches of whole transactions, each table's consecutive events of one schema together. A transaction
 * that is cut by `take` goes on in the next batch, each of its batches but the last one not complete.
 */
export class BatchBuilder {
  /** End of the last commit, or the last place known to hold nothing more for us. */
  position: bigint;
  /** 0 until known. */
  timeMicros: bigint;
  bytes = 0;
  events = 0;

  #items: TableChanges[] = [];
  /** The last item of each table: a table may be described twice, and its items stand in source order. */
  #open = new Map<string, TableChanges>();
  /** The last that each table had here. */
  readonly #shapes = new Map<string, Schema>();
  #transactions: Transaction[] = [];
  #transaction: Transaction | null = null;
  #pending: Transaction | null = null;
  #isCut = false;
  /** Position of the last complete batch: what a restart inside a cut transaction goes back to. */
  #completed: bigint;

  constructor(position: bigint, timeMicros: bigint) {
    this.position = position;
    this.#completed = position;
    this.timeMicros = timeMicros;
  }

  get isInTransaction(): boolean {
    return this.#transaction !== null || this.#pending !== null;
  }

  /** True if the next batch ends a transaction whose beginning is in a batch that is out already. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** To be handed out with the transaction at hand. */
  get isFull(): boolean {
    return this.bytes >= maxBytes || this.events >= maxEvents;
  }

  /** To be handed out even within a transaction. */
  get isOverlong(): boolean {
    return this.bytes >= cutBytes || this.events >= cutEvents;
  }

  begin(id: string, commitLsn: bigint, timeMicros: bigint): void {
    this.#isCut = false;
    this.#pending = { id, position: formatLsn(commitLsn), timeMicros };
  }

  commit(endLsn: bigint): void {
    const transaction = this.#transaction ?? this.#pending;
    if (transaction) {
      // The place where its commit ends is known only now; a transaction of several batches keeps where it begins, which
      // orders it the same.
      if (!this.#isCut) transaction.position = formatLsn(endLsn);
      this.timeMicros = transaction.timeMicros;
    }
    this.#transaction = null;
    this.#pending = null;
    this.position = endLsn;
  }

  /** Everything before `position` is handed out, by whatever way. */
  advance(position: bigint): void {
    if (position <= this.position) return;
    this.position = position;
    this.#completed = position;
  }

  /** The table (source.schema.table) has this shape from here on. */
  announce(table: string, schema: Schema): void {
    this.#enterTransaction();
    this.#items.push({ table, schema, events: [], transactions: this.#transactions });
    this.#open.delete(table);
    this.#shapes.set(table, schema);
    // Something to hand out.
    this.events++;
  }

  /** An event of the transaction at hand; the shape of a table that is being read again is announced where it is another one. */
  add(relation: Relation, op: Op, before: Row | null, after: Row | null): void {
    if (relation.isReadAgain) this.#announceAnew(relation);
    this.#enterTransaction();
    const event: ChangeEvent = { op, before, after, tx: this.#transactions.length - 1 };
    const open = this.#open.get(relation.fullName);
    if (open !== undefined && open.schema === relation.schema) open.events.push(event);
    else this.#openItem(relation, event);
    this.events++;
  }

  /**
   * Everything gathered. Inside a transaction, or where the caller knows that more belongs to it, the batch is not complete,
   * and its position is the last complete batch's.
   */
  take(isMoreToCome: boolean): Batch {
    const isComplete = !isMoreToCome && this.#transaction === null && !(this.#isCut && this.#pending !== null);
    if (isComplete) this.#completed = this.position;
    const batch: Batch = {
      items: this.#items.map((changes) => ({ kind: 'changes', changes })),
      position: formatLsn(this.#completed),
      timeMicros: this.timeMicros === 0n ? (this.#transaction?.timeMicros ?? 0n) : this.timeMicros,
      isComplete,
    };
    this.#items = [];
    this.#open = new Map();
    this.#transactions = [];
    this.bytes = 0;
    this.events = 0;
    if (this.#transaction !== null) {
      this.#isCut = true;
      this.#pending = { ...this.#transaction };
      this.#transaction = null;
    } else if (this.#pending === null) this.#isCut = false;
    return batch;
  }

  #enterTransaction(): void {
    if (this.#transaction !== null) return;
    this.#transaction = this.#pending as Transaction;
    this.#pending = null;
    this.#transactions.push(this.#transaction);
  }

  #announceAnew(relation: Relation): void {
    const { fullName, schema } = relation;
    relation.isReadAgain = false;
    const known = this.#shapes.get(fullName);
    if (known === undefined || !schemasEqual(known, schema)) this.announce(fullName, schema);
  }

  #openItem(relation: Relation, event: ChangeEvent): void {
    this.#shapes.set(relation.fullName, relation.schema);
    const item: TableChanges = {
      table: relation.fullName,
      schema: relation.schema,
      events: [event],
      transactions: this.#transactions,
    };
    this.#open.set(relation.fullName, item);
    this.#items.push(item);
  }
}
