import type { Schema } from '#catalog/schemas/schema.ts';
import type { State } from '#catalog/state/state.ts';
import type { ChangeEvent, TableChanges } from '../event.ts';
import { encodeBatch } from '../log/batch-codec.ts';
import type { Rejected } from '../processor.ts';
import { type JsonValue, keyOf } from './key-text.ts';

/** Where a table's changes stand in the log. */
export interface Place {
  source: string;
  offset: number;
  /** Of the item in its batch. */
  /** Of the batch; with a list's number where the item is a file. */
  item: number | string;
  position: string;
}

interface Letter {
  identity: string;
  step: string;
  table: string;
  key: JsonValue[] | null;
  code: string;
  reason: string;
  event: Uint8Array<ArrayBuffer>;
  position: { source: string; offset: number; position: string };
  resolvedAt: Date | null;
}

const lettersAtOnce = 500;
const maxNoted = 5_000;

/**
 * The dead letters of one pipeline. `reject` and `passed` only note. `store` writes the letters, before the sink's commit:
 * after a crash in between the batch is read again, and a letter with the same identity is not stored twice. `resolve`
 * writes what is resolved, after it: what was read again must still find its key among the open ones.
 */
export class DeadLetters {
  readonly #state: State;
  readonly #pipeline: string;
  readonly #now: () => Date;
  #letters: Letter[] = [];
  /** table → key text → true, of every letter that is not resolved, stored or only noted. */
  readonly #open = new Map<string, Set<string>>();
  readonly #resolved = new Map<string, Set<string>>();
  /** Keys rejected in the changes in hand, and those of them whose last event it was. */
  readonly #rejected = new Map<string, Set<string>>();
  readonly #unresolved = new Map<string, Set<string>>();

  constructor(state: State, pipeline: string, now: () => Date) {
    this.#state = state;
    this.#pipeline = pipeline;
    this.#now = now;
  }

  /** Reads the keys of this pipeline's letters that nobody has resolved. */
  async load(): Promise<void> {
    const rows = await this.#state.deadLetter.findMany({
      where: { pipelineName: this.#pipeline, resolvedAt: null },
      select: { table: true, key: true },
    });
    for (const row of rows) keysOf(this.#open, row.table).add(JSON.stringify(row.key));
  }

  /** True if an event of this row was rejected and none since went all the way, or one in the changes in hand. */
  isOpen(table: string, event: ChangeEvent, schema: Schema): boolean {
    const open = this.#open.get(table);
    const rejected = this.#rejected.get(table);
    if (!open && !rejected) return false;
    const text = JSON.stringify(keyOf(event, schema));
    return open?.has(text) === true || rejected?.has(text) === true;
  }

  /** True where so many letters are noted that they should be stored before the commit is due. */
  get isFull(): boolean {
    return this.#letters.length >= maxNoted;
  }

  get hasNews(): boolean {
    return this.#letters.length > 0 || this.#resolved.size > 0;
  }

  /** Notes rows that a step could not carry on. A letter whose key has a later event that did pass is resolved by it. */
  reject(step: string, input: TableChanges, rejected: readonly Rejected[], place: Place): void {
    if (rejected.length === 0) return;
    const indexOf = new Map(input.events.map((event, index) => [event, index]));
    const refused = new Set(rejected.map(({ event }) => event));
    const lastPassed = new Map<string, number>();
    for (const [index, event] of input.events.entries()) {
      if (!refused.has(event)) lastPassed.set(JSON.stringify(keyOf(event, input.schema)), index);
    }
    const { source, offset, position } = place;
    for (const { event, error } of rejected) {
      const index = indexOf.get(event) ?? -1;
      const key = keyOf(event, input.schema);
      const text = JSON.stringify(key);
      const isResolved = key !== null && (lastPassed.get(text) ?? -1) > index;
      this.#letters.push({
        // With the position, for offsets begin anew where a log was lost.
        identity: [this.#pipeline, step, source, offset, position, place.item, index].join('/'),
        step,
        table: input.table,
        key,
        code: error.code,
        reason: error.message,
        event: encodeEvent(input, event, position),
        position: { source, offset, position },
        resolvedAt: isResolved ? this.#now() : null,
      });
      if (key !== null) keysOf(this.#rejected, input.table).add(text);
      if (key !== null && !isResolved) keysOf(this.#unresolved, input.table).add(text);
    }
  }

  /**
   * Notes which events went all the way, after the rejections of the same changes: they resolve older letters of their
   * keys, but for keys whose last event here was rejected. These are open from now on.
   */
  passed(changes: TableChanges): void {
    const open = this.#open.get(changes.table);
    const unresolved = this.#unresolved.get(changes.table);
    for (const event of open && open.size > 0 ? changes.events : []) {
      const text = JSON.stringify(keyOf(event, changes.schema));
      if (unresolved?.has(text) || !open?.delete(text)) continue;
      keysOf(this.#resolved, changes.table).add(text);
    }
    for (const text of unresolved ?? []) {
      keysOf(this.#open, changes.table).add(text);
      this.#resolved.get(changes.table)?.delete(text);
    }
    this.#rejected.clear();
    this.#unresolved.clear();
  }

  /** Durable when resolved; may be repeated. */
  async store(): Promise<void> {
    const letters = this.#letters;
    this.#letters = [];
    for (const some of chunks(letters)) {
      const data = some.map(({ key, ...letter }) => ({ ...letter, pipelineName: this.#pipeline, key: key ?? [] }));
      await this.#state.deadLetter.createMany({ data, skipDuplicates: true });
    }
  }

  /** Durable when resolved. */
  async resolve(): Promise<void> {
    if (this.#resolved.size === 0) return;
    const resolved = [...this.#resolved];
    this.#resolved.clear();
    for (const [table, keys] of resolved) {
      for (const some of chunks([...keys])) {
        await this.#state
          .$executeRaw`UPDATE "DeadLetter" SET "resolvedAt" = ${this.#now()} WHERE "pipelineName" = ${this.#pipeline}
            AND "table" = ${table} AND "resolvedAt" IS NULL AND "key" = ANY(${some}::jsonb[])`;
      }
    }
  }
}

function keysOf(tables: Map<string, Set<string>>, table: string): Set<string> {
  const known = tables.get(table);
  if (known) return known;
  const keys = new Set<string>();
  tables.set(table, keys);
  return keys;
}

function encodeEvent(input: TableChanges, event: ChangeEvent, position: string): Uint8Array<ArrayBuffer> {
  const transaction = input.transactions[event.tx];
  const changes = {
    table: input.table,
    schema: input.schema,
    events: [{ ...event, tx: 0 }],
    transactions: transaction ? [transaction] : [],
  };
  const timeMicros = transaction?.timeMicros ?? 0n;
  return new Uint8Array(encodeBatch({ items: [{ kind: 'changes', changes }], position, timeMicros, isComplete: true }));
}

function chunks<T>(list: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(list.length / lettersAtOnce) }, (_, i) =>
    list.slice(i * lettersAtOnce, (i + 1) * lettersAtOnce),
  );
}
