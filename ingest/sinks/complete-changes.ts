import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { fillUnknown, isWhole } from '#catalog/iceberg/write/staged-rows.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { ChangeEvent } from '../event.ts';
import type { LastRows } from './last-rows.ts';

/**
 * Fills what events leave out of their rows from the row's last change in its table of changes: the row before an update
 * or a delete that came with its key alone, and values that an update left as they were.
 */
export class ChangeCompleter {
  readonly #rows: LastRows;
  #schema: Schema;
  #encode: (row: Row) => Buffer;
  /** A row that was removed by the event just before: a key change comes as a delete and an insert that may lack values. */
  #removed: Row | null = null;

  constructor(schema: Schema, rows: LastRows) {
    this.#rows = rows;
    this.#schema = schema;
    this.#encode = keyEncoder(schema);
  }

  follow(schema: Schema): void {
    if (schema === this.#schema) return;
    this.#rows.follow(schema);
    this.#schema = schema;
    this.#encode = keyEncoder(schema);
    this.#removed = null;
  }

  /** As `LastRows`. */
  distrust(upTo: bigint | null): void {
    this.#rows.distrust(upTo);
  }

  /** What is not known stays UNKNOWN, and a row before of which nothing is known stays null. Calls come in order. */
  async complete(event: ChangeEvent, number: bigint): Promise<ChangeEvent> {
    const removed = this.#removed;
    this.#removed = null;
    const { op, before, after } = event;
    if (op === 't') {
      this.#rows.truncate();
      return event;
    }
    if (op === 'd') {
      if (!before) return event;
      const key = this.#encode(before);
      const whole = isWhole(before) ? before : await this.#fill(before, key);
      this.#rows.note(key, null, number);
      this.#removed = whole;
      return { ...event, before: whole };
    }
    if (!after) return event;
    const key = this.#encode(after);
    const old = op === 'u' ? await this.#before(event, key) : removed;
    const whole = old && !isWhole(after) ? fillUnknown(after, old) : after;
    this.#rows.note(key, whole, number);
    return { ...event, before: op === 'u' ? old : before, after: whole };
  }

  async #before({ before }: ChangeEvent, key: Buffer): Promise<Row | null> {
    if (before && isWhole(before)) return before;
    if (before) return await this.#fill(before, key);
    const found = await this.#rows.find(key);
    return found === 'unknown' ? null : found;
  }

  async #fill(row: Row, key: Buffer): Promise<Row> {
    const found = await this.#rows.find(key);
    return found === null || found === 'unknown' ? row : fillUnknown(row, found);
  }

  async settle(upTo: bigint): Promise<void> {
    await this.#rows.settle(upTo);
  }

  async close(): Promise<void> {
    await this.#rows.close();
  }
}
