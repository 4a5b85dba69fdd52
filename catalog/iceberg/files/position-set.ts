/** Row positions of one data file, as bits: a file of a million rows takes 125 kB, however many are in the set. */
export class PositionSet {
  #words: Uint32Array;
  #size = 0;

  constructor(rowCount = 0) {
    this.#words = new Uint32Array(Math.max(1, Math.ceil(rowCount / 32)));
  }

  /** The set of the bits in `words`, position 0 the lowest bit of the first; the array is taken over. */
  static ofWords(words: Uint32Array): PositionSet {
    const set = new PositionSet();
    set.#words = words;
    for (const word of words) set.#size += countBits(word);
    return set;
  }

  get size(): number {
    return this.#size;
  }

  /** The bits, position 0 the lowest of the first word; words after the last position may be absent. Not to be changed. */
  get words(): Uint32Array {
    return this.#words;
  }

  has(position: number): boolean {
    return ((this.#words[position >>> 5] ?? 0) & (1 << (position & 31))) !== 0;
  }

  add(position: number): void {
    const word = position >>> 5;
    if (word >= this.#words.length) {
      const grown = new Uint32Array(Math.max(word + 1, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    const bit = 1 << (position & 31);
    const old = this.#words[word] ?? 0;
    if ((old & bit) !== 0) return;
    this.#words[word] = old | bit;
    this.#size += 1;
  }

  /** The positions of rows that a file of so many rows has. */
  below(rowCount: number): PositionSet {
    const words = this.#words.slice(0, Math.max(1, Math.ceil(rowCount / 32)));
    const last = words.length - 1;
    if (last * 32 + 32 > rowCount) words[last] = (words[last] ?? 0) & (2 ** (rowCount - last * 32) - 1);
    return PositionSet.ofWords(words);
  }

  clone(): PositionSet {
    const copy = new PositionSet();
    copy.#words = this.#words.slice();
    copy.#size = this.#size;
    return copy;
  }

  /** All positions, ascending. */
  toArray(): BigInt64Array<ArrayBuffer> {
    const positions = new BigInt64Array(this.#size);
    let next = 0;
    for (let word = 0; word < this.#words.length; word++) {
      let bits = this.#words[word] ?? 0;
      while (bits !== 0) {
        const lowest = 31 - Math.clz32(bits & -bits);
        positions[next++] = BigInt(word * 32 + lowest);
        bits &= bits - 1;
      }
    }
    return positions;
  }
}

export function countBits(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
