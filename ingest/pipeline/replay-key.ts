import { jsonOf } from '#catalog/query/json-values.ts';
import { keyIndexes, type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { parseExactJson, RawNumber } from '../raw-number.ts';
import { keyValueOf } from './key-text.ts';

/**
 * A key as a person writes it: of one column its value's text as a query shows it (`7`, `2026-11-25`, `O'Neil`), of one or
 * several columns a JSON array of the values in key order (`["US", 7]`), as the dead letters show it.
 */
export class ReplayKey {
  readonly #text: string;
  readonly #parts: readonly string[] | null;

  constructor(text: string) {
    this.#text = text;
    this.#parts = readParts(text);
  }

  /** True if a key of so many columns can be meant. */
  fits(columns: number): boolean {
    return columns === 1 || this.#parts?.length === columns;
  }

  /** Tells of rows of this schema whether they have the key. */
  matcher(schema: Schema): (row: Row) => boolean {
    const columns = keyIndexes(schema).map((index) => ({
      index,
      write: jsonOf(schema.fields[index]?.type ?? { kind: 'string' }),
    }));
    const textsOf = (row: Row) =>
      columns.map(({ index, write }) => {
        const value = row[index] ?? null;
        return value === UNKNOWN ? [] : [textOf(write(value as Value)), textOf(keyValueOf(value))];
      });
    return (row) => {
      const texts = textsOf(row);
      if (texts.length === 1 && texts[0]?.includes(this.#text)) return true;
      return texts.length === this.#parts?.length && this.#parts.every((part, at) => texts[at]?.includes(part));
    };
  }
}

function readParts(text: string): string[] | null {
  if (!text.trimStart().startsWith('[')) return null;
  try {
    const parsed = parseExactJson(text);
    return Array.isArray(parsed) ? parsed.map(textOf) : null;
  } catch {
    // A key that only looks like one: its text is what counts.
    return null;
  }
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return value instanceof RawNumber ? value.text : JSON.stringify(value);
}
