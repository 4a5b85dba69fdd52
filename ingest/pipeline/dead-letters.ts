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
  item: number;
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

/**
 * The dead letters of one pipeline. `reject` and `passed` only note; `store` writes what was noted, before the sink's
 * commit: after a crash in between the batch is read again, and a letter with the same identity is not stored twice.
 */
export class DeadLetters {
  readonly #state: State;
  readonly #pipeline: string;
  readonly #now: () => Date;
  #letters: Letter[] = [];
  /** table → key text → true, of every letter that is not resolved, stored or only noted. */
  readonly #open = new Map<string, Set<string>>();
  readonly #resolved = new Map<string, Set<string>>();

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
    for (const row of rows) this.#openKeys(row.table).add(JSON.stringify(row.key));
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
        identity: [this.#pipeline, step, source, offset, place.item, index].join('/'),
        step,
        table: input.table,
        key,
        code: error.code,
        reason: error.message,
        event: encodeEvent(input, event, position),
        position: { source, offset, position },
        resolvedAt: isResolved ? this.#now() : null,
      });
    }
  }

  /** Notes that these events of a table went all the way: they resolve older letters of their keys. */
  passed(changes: TableChanges): void {
    const open = this.#open.get(changes.table);
    if (!open || open.size === 0) return;
    for (const event of changes.events) {
      const text = JSON.stringify(keyOf(event, changes.schema));
      if (!open.delete(text)) continue;
      const keys = this.#resolved.get(changes.table) ?? new Set();
      keys.add(text);
      this.#resolved.set(changes.table, keys);
    }
  }

  /** After `passed` for the batch: its own new letters count as open from here on. */
  endBatch(): void {
    for (const { table, key, resolvedAt } of this.#letters) {
      if (!resolvedAt && key !== null) this.#openKeys(table).add(JSON.stringify(key));
    }
  }

  /** Durable when resolved; may be repeated. */
  async store(): Promise<void> {
    const letters = this.#letters;
    const resolved = [...this.#resolved];
    if (letters.length === 0 && resolved.length === 0) return;
    this.#letters = [];
    this.#resolved.clear();
    const pipelineName = this.#pipeline;
    await this.#state.$transaction(
      async (tx) => {
        for (const [table, keys] of resolved) {
          for (const some of chunks([...keys])) {
            await tx.$executeRaw`UPDATE "DeadLetter" SET "resolvedAt" = ${this.#now()} WHERE "pipelineName" = ${pipelineName}
              AND "table" = ${table} AND "resolvedAt" IS NULL AND "key" = ANY(${some}::jsonb[])`;
          }
        }
        for (const some of chunks(letters)) {
          const data = some.map(({ key, ...letter }) => ({ ...letter, pipelineName, key: key ?? [] }));
          await tx.deadLetter.createMany({ data, skipDuplicates: true });
        }
      },
      { timeout: 60_000 },
    );
  }

  #openKeys(table: string): Set<string> {
    const known = this.#open.get(table);
    if (known) return known;
    const keys = new Set<string>();
    this.#open.set(table, keys);
    return keys;
  }
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
