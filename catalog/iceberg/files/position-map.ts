/**
 * Where the rows of a data file stand after it was rewritten: rows that were deleted are left out, the others follow each
 * other from `base` on in the new file. A million rows take 250 kB.
 *
 *   bytes: base, row count (4 bytes each, little-endian), then a bit for each row that was left out, in words of 4 bytes
 */
export class PositionMap {
  readonly base: number;
  readonly rowCount: number;
  readonly #leftOut: Uint32Array;
  /** Rows left out before each word. */
  readonly #before: Uint32Array;

  private constructor(base: number, rowCount: number, leftOut: Uint32Array) {
    this.base = base;
    this.rowCount = rowCount;
    this.#leftOut = leftOut;
    this.#before = new Uint32Array(leftOut.length + 1);
    for (const [index, word] of leftOut.entries()) this.#before[index + 1] = (this.#before[index] ?? 0) + bits(word);
  }

  /** Of a file of `rowCount` rows that was rewritten without the rows at `deleted`. */
  static of(base: number, rowCount: number, deleted: Iterable<number | bigint>): PositionMap {
    const leftOut = new Uint32Array(Math.ceil(rowCount / 32));
    for (const each of deleted) {
      const position = Number(each);
      leftOut[position >>> 5] = (leftOut[position >>> 5] ?? 0) | (1 << (position & 31));
    }
    return new PositionMap(base, rowCount, leftOut);
  }

  static decode(bytes: Uint8Array): PositionMap {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const leftOut = new Uint32Array((bytes.byteLength - 8) / 4);
    for (let word = 0; word < leftOut.length; word++) leftOut[word] = view.getUint32(8 + word * 4, true);
    return new PositionMap(view.getUint32(0, true), view.getUint32(4, true), leftOut);
  }

  encode(): Buffer {
    const bytes = Buffer.alloc(8 + this.#leftOut.length * 4);
    bytes.writeUInt32LE(this.base, 0);
    bytes.writeUInt32LE(this.rowCount, 4);
    for (const [word, value] of this.#leftOut.entries()) bytes.writeUInt32LE(value, 8 + word * 4);
    return bytes;
  }

  /** Rows that the new file has of this one. */
  get kept(): number {
    return this.rowCount - (this.#before.at(-1) ?? 0);
  }

  /** The row's position in the new file; null for one that was left out. */
  get(position: number): number | null {
    const index = position >>> 5;
    const word = this.#leftOut[index] ?? 0;
    const bit = 1 << (position & 31);
    if (position >= this.rowCount || (word & bit) !== 0) return null;
    return this.base + position - (this.#before[index] ?? 0) - bits(word & (bit - 1));
  }
}

function bits(word: number): number {
  let count = word - ((word >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
