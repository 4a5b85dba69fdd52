import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { keyIndexes, type Row, type Schema, typeName } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges } from '../../event.ts';

interface Touch {
  /** The key's values in key order. */
  key: Row;
  at: number;
  bytes: number;
}

interface KeyShape {
  encode(row: Row): Buffer;
  indexes: readonly number[];
  /** Equal for two schemas whose rows look alike. */
  shape: string;
}

/** What an entry takes besides the values of its key. */
const entryBytes = 250;

/**
 * The keys of one table that changes have touched since the oldest window was opened. A mark is the number of the batch
 * after which a window begins.
 */
export class TouchedKeys {
  /** By encoded key, those touched last at the end. */
  readonly #touches = new Map<string, Touch>();
  readonly #shapes = new WeakMap<Schema, KeyShape>();
  /** Of the changes, by the last batch that had one of it. */
  #lastOfShape = new Map<string, number>();
  bytes = 0;

  /** Takes in changes of batch number `at`. True if a truncate is among them. */
  note(changes: TableChanges, at: number): boolean {
    const known = this.#shapes.get(changes.schema);
    const shape = known ?? keyShape(changes.schema);
    if (known === undefined) this.#shapes.set(changes.schema, shape);
    this.#lastOfShape.set(shape.shape, at);
    let isTruncated = false;
    for (const event of changes.events) {
      if (event.op === 't') isTruncated = true;
      for (const row of rowsOf(event)) this.#touch(row, shape, at);
    }
    return isTruncated;
  }

  /** Keys touched after `mark`. */
  since(mark: number): Row[] {
    const keys: Row[] = [];
    for (const { key, at } of this.#touches.values()) if (at > mark) keys.push(key);
    return keys;
  }

  /** True if all changes after `mark` have rows of this schema's shape, whatever may be NULL in it. */
  haveShape(schema: Schema, mark: number): boolean {
    const wanted = shapeOf(schema);
    return [...this.#lastOfShape].every(([shape, at]) => at <= mark || shape === wanted);
  }

  /** No window begins before `mark` any more. */
  forgetUntil(mark: number): void {
    for (const [encoded, { at, bytes }] of this.#touches) {
      if (at > mark) break;
      this.#touches.delete(encoded);
      this.bytes -= bytes;
    }
    for (const [shape, at] of this.#lastOfShape) if (at <= mark) this.#lastOfShape.delete(shape);
  }

  clear(): void {
    this.forgetUntil(Number.POSITIVE_INFINITY);
  }

  #touch(row: Row, { encode, indexes }: KeyShape, at: number): void {
    const encoded = encode(row).toString('latin1');
    const known = this.#touches.get(encoded);
    if (known?.at === at) return;
    if (known !== undefined) {
      // To the end, so that the old ones are forgotten from the beginning.
      this.#touches.delete(encoded);
      known.at = at;
      this.#touches.set(encoded, known);
      return;
    }
    const key = indexes.map((index) => row[index] ?? null);
    const bytes = key.reduce<number>((sum, value) => sum + valueBytes(value), entryBytes);
    this.#touches.set(encoded, { key, at, bytes });
    this.bytes += bytes;
  }
}

function rowsOf({ before, after }: ChangeEvent): Row[] {
  // With both, the key is the same: a change of it is told as a delete and an insert.
  const row = after ?? before;
  return row === null ? [] : [row];
}

function valueBytes(value: Row[number]): number {
  if (typeof value === 'string') return value.length * 2;
  return value instanceof Uint8Array ? value.length + 100 : 16;
}

function keyShape(schema: Schema): KeyShape {
  return { encode: keyEncoder(schema), indexes: keyIndexes(schema), shape: shapeOf(schema) };
}

function shapeOf({ fields, key }: Schema): string {
  return JSON.stringify([fields.map(({ name, type }) => [name, typeName(type)]), key]);
}
