import type { Row } from '#catalog/schemas/schema.ts';
import {
  type Batch,
  type ChangeEvent,
  isAnnouncement,
  type Op,
  type SourcePosition,
  type TableChanges,
  type Transaction,
} from '../../event.ts';
import type { TableShape } from './table-shape.ts';

interface Item {
  shape: TableShape;
  changes: TableChanges;
  /** How many of its events are older than the transaction that is open. */
  settled: number;
}

/** Says which shape is to come: true whatever becomes of the transaction with its first row. */
function isNews({ changes }: Item): boolean {
  return isAnnouncement({ kind: 'changes', changes });
}

/**
 * Gathers events into batches of whole transactions, each table's events of one schema together. What an open transaction
 * has brought so far waits for its end, since that may be a rollback, until it is more than memory should hold: then it
 * is handed out in parts that are not complete.
 */
export class ChangeBatch {
  /** Position after the last transaction that ended. */
  position: SourcePosition;
  timeMicros: bigint;
  bytes = 0;

  #items: Item[] = [];
  #open = new Map<TableShape, Item>();
  #transactions: Transaction[] = [];
  /** The transaction that is open, and whether it is among `#transactions`. */
  #transaction: Transaction | null = null;
  #isListed = false;
  #openBytes = 0;
  #isCut = false;
  #owesEnd = false;
  /** Position of the last complete batch: what a restart inside a cut transaction goes back to. */
  #completed: SourcePosition;

  constructor(position: SourcePosition, timeMicros: bigint) {
    this.position = position;
    this.#completed = position;
    this.timeMicros = timeMicros;
  }

  /** Bytes of log that the open transaction has brought and that are not handed out. */
  get openBytes(): number {
    return this.#openBytes;
  }

  get isInTransaction(): boolean {
    return this.#transaction !== null;
  }

  /** True if a part of the open transaction is handed out already. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** `transaction` has a position that orders it, the final one if that is known. */
  begin(transaction: Transaction): void {
    this.#transaction = transaction;
    this.#isListed = false;
    this.#openBytes = 0;
    this.#isCut = false;
  }

  /** An event of the open transaction. */
  add(shape: TableShape, op: Op, before: Row | null, after: Row | null): void {
    if (shape.isReadAgain) this.#openItem(shape, [], 0);
    shape.isReadAgain = false;
    if (!this.#isListed) {
      this.#transactions.push(this.#transaction as Transaction);
      this.#isListed = true;
    }
    const event: ChangeEvent = { op, before, after, tx: this.#transactions.length - 1 };
    const item = this.#open.get(shape);
    if (item !== undefined && !isNews(item) && item.changes.schema === shape.schema) item.changes.events.push(event);
    else this.#openItem(shape, [event], 0);
  }

  addBytes(bytes: number): void {
    this.bytes += bytes;
    this.#openBytes += bytes;
  }

  commit(position: SourcePosition): void {
    const transaction = this.#transaction;
    if (transaction !== null) {
      // Nobody has it yet.
      if (!this.#isCut) transaction.position = position;
      if (transaction.timeMicros > this.timeMicros) this.timeMicros = transaction.timeMicros;
    }
    for (const item of this.#items) item.settled = item.changes.events.length;
    this.#end(position);
  }

  /** Takes back what the open transaction has brought and is not handed out, of the tables that `isUndone`; ends it. */
  rollback(position: SourcePosition, isUndone: (shape: TableShape) => boolean): void {
    const news = new Set(this.#items.filter(isNews));
    for (const item of this.#items) {
      if (isUndone(item.shape)) item.changes.events.length = item.settled;
    }
    this.#items = this.#items.filter((item) => item.changes.events.length > 0 || news.has(item));
    this.#open = new Map(this.#items.map((item) => [item.shape, item]));
    this.commit(position);
  }

  /** Everything before `position` is handed out, or holds nothing for us. Not within a transaction. */
  advance(position: SourcePosition): void {
    this.position = position;
  }

  /**
   * What can be handed out: whole transactions; with `isOpenToo`, and no whole ones left, also the part of the open one. Null
   * if there is nothing and no end of a cut transaction to be told.
   */
  take(isOpenToo: boolean): Batch | null {
    if (this.#isCut && this.#transaction !== null) return isOpenToo && this.#items.length > 0 ? this.#all(false) : null;
    const rest = this.#transaction === null ? [] : this.#detachOpen();
    if (this.#items.length > 0 || this.#owesEnd) {
      const batch = this.#all(true);
      this.#attach(rest);
      return batch;
    }
    this.#attach(rest);
    if (!isOpenToo || rest.length === 0) return null;
    this.#isCut = true;
    return this.#all(false);
  }

  /** A complete batch without items, which tells how far everything is known. */
  takeEmpty(timeMicros: bigint): Batch {
    if (timeMicros > this.timeMicros) this.timeMicros = timeMicros;
    this.#completed = this.position;
    this.#owesEnd = false;
    return { items: [], position: this.position, timeMicros: this.timeMicros, isComplete: true };
  }

  #end(position: SourcePosition): void {
    this.position = position;
    this.#owesEnd ||= this.#isCut;
    this.#transaction = null;
    this.#isListed = false;
    this.#isCut = false;
    this.#openBytes = 0;
  }

  #all(isComplete: boolean): Batch {
    if (isComplete) {
      this.#completed = this.position;
      this.#owesEnd = false;
    }
    const batch: Batch = {
      items: this.#items.map(({ changes }) => ({ kind: 'changes', changes })),
      position: this.#completed,
      timeMicros: this.timeMicros,
      isComplete,
    };
    this.#items = [];
    this.#open = new Map();
    this.#transactions = [];
    this.#isListed = false;
    this.bytes = 0;
    if (!isComplete) this.#openBytes = 0;
    return batch;
  }

  /** Takes the open transaction's events out of the items. */
  #detachOpen(): { shape: TableShape; schema: TableChanges['schema']; events: ChangeEvent[] }[] {
    if (!this.#isListed) return [];
    const news = new Set(this.#items.filter(isNews));
    const rest = this.#items
      .filter((item) => item.changes.events.length > item.settled)
      .map(({ shape, changes, settled }) => ({
        shape,
        schema: changes.schema,
        events: changes.events.splice(settled),
      }));
    this.#items = this.#items.filter((item) => item.changes.events.length > 0 || news.has(item));
    this.#transactions.pop();
    return rest;
  }

  #attach(rest: { shape: TableShape; schema: TableChanges['schema']; events: ChangeEvent[] }[]): void {
    if (rest.length === 0) return;
    this.#transactions.push(this.#transaction as Transaction);
    this.#isListed = true;
    const tx = this.#transactions.length - 1;
    for (const { shape, schema, events } of rest) {
      for (const event of events) event.tx = tx;
      this.#openItem(shape, events, 0, schema);
    }
  }

  #openItem(shape: TableShape, events: ChangeEvent[], settled: number, schema = shape.schema): void {
    const changes = { table: shape.fullName, schema, events, transactions: this.#transactions };
    const item = { shape, changes, settled };
    this.#open.set(shape, item);
    this.#items.push(item);
  }
}
