import { createHash } from 'node:crypto';

/**
 * Debezium's placeholder for a value that the database did not tell, in each form that its converters give it: a text, bytes
 * (Base64 in JSON), a list of it, of its bytes or of the UUID made of it, a map of it to itself, and that as JSON.
 */
export class UnavailableValue {
  readonly #text: string;
  readonly #bytes: Buffer;
  readonly #texts: ReadonlySet<unknown>;

  constructor(text: string) {
    this.#text = text;
    this.#bytes = Buffer.from(text);
    this.#texts = new Set([
      text,
      this.#bytes.toString('base64'),
      this.#bytes.toString('hex'),
      JSON.stringify({ [text]: text }),
      nameUuid(this.#bytes),
    ]);
  }

  /** `raw` is a column's whole value, of JSON or Avro. */
  is(raw: unknown): boolean {
    if (typeof raw === 'string') return raw.length >= this.#text.length && this.#texts.has(raw);
    if (typeof raw !== 'object' || raw === null) return false;
    if (raw instanceof Uint8Array) return this.#bytes.equals(raw);
    if (Array.isArray(raw)) return this.#isList(raw);
    const entries = Object.entries(raw);
    return entries.length === 1 && entries[0]?.[0] === this.#text && entries[0][1] === this.#text;
  }

  #isList(list: readonly unknown[]): boolean {
    const [first] = list;
    if (list.length === 1) {
      if (Array.isArray(first)) return first.length === 2 && first.every((part) => part === this.#text);
      return typeof first === 'string'
        ? this.#texts.has(first)
        : first instanceof Uint8Array && this.#bytes.equals(first);
    }
    return list.length === this.#bytes.length && list.every((item, index) => Number(item) === this.#bytes[index]);
  }
}

/** As java.util.UUID.nameUUIDFromBytes (RFC 4122, version 3, without a namespace). */
function nameUuid(bytes: Buffer): string {
  const hash = createHash('md5').update(bytes).digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x30;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
