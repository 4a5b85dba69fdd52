import { countBits, PositionSet } from './position-set.ts';

/*
 * Roaring bitmaps in their portable form (github.com/RoaringBitmap/RoaringFormatSpec), all little-endian. 64-bit values
 * are grouped by their upper half:
 *
 *   count: u64 | { upper half: u32 | bitmap } …
 *   bitmap:  cookie 12346: u32 | containers: u32                     | headers | offsets: u32 … | containers
 *         or cookie 12347: u16 | containers - 1: u16 | is-run bits … | headers | offsets, from 4 on | containers
 *   header:  key (bits 16 to 31): u16 | cardinality - 1: u16         offsets count from the bitmap's first byte
 *   array container (up to 4096 values): u16 …     bitset container: 8192 bytes
 *   run container: runs: u16 | { first: u16 | length - 1: u16 } …
 *
 * Upper halves are 0 here: row positions of one file stay below 2^32.
 */
const plainCookie = 12346;
const runCookie = 12347;
const noOffsetsBelow = 4;
const containerWords = 2048;
const bitsetBytes = 8192;
const maxArray = 4096;

interface Container {
  key: number;
  cardinality: number;
  runs: number;
  form: 'array' | 'bitset' | 'run';
  bytes: number;
}

/** The positions as a 64-bit roaring bitmap; each container takes the shortest of its three forms. */
export function encodeRoaring(positions: PositionSet): Buffer {
  const { words } = positions;
  const containers = containersOf(words);
  if (containers.length === 0) return Buffer.alloc(8);
  const hasRuns = containers.some(({ form }) => form === 'run');
  const hasOffsets = !hasRuns || containers.length >= noOffsetsBelow;
  const flagBytes = hasRuns ? Math.ceil(containers.length / 8) : 0;
  const headBytes = (hasRuns ? 4 + flagBytes : 8) + containers.length * (hasOffsets ? 8 : 4);
  const bytes = Buffer.alloc(12 + headBytes + containers.reduce((sum, container) => sum + container.bytes, 0));
  bytes.writeUInt32LE(1, 0);
  const bitmap = bytes.subarray(12);
  let at = 4;
  if (hasRuns) {
    bitmap.writeUInt32LE((runCookie | ((containers.length - 1) << 16)) >>> 0, 0);
    for (const [index, { form }] of containers.entries()) {
      const flags = at + (index >> 3);
      if (form === 'run') bitmap.writeUInt8((bitmap[flags] ?? 0) | (1 << (index & 7)), flags);
    }
    at += flagBytes;
  } else {
    bitmap.writeUInt32LE(plainCookie, 0);
    bitmap.writeUInt32LE(containers.length, 4);
    at += 4;
  }
  for (const { key, cardinality } of containers) {
    bitmap.writeUInt16LE(key, at);
    bitmap.writeUInt16LE(cardinality - 1, at + 2);
    at += 4;
  }
  let offset = headBytes;
  if (hasOffsets) {
    for (const container of containers) {
      bitmap.writeUInt32LE(offset, at);
      offset += container.bytes;
      at += 4;
    }
  }
  for (const container of containers) {
    writeContainer(bitmap, at, container, words.subarray(container.key * containerWords));
    at += container.bytes;
  }
  return bytes;
}

function containersOf(words: Uint32Array): Container[] {
  const containers: Container[] = [];
  for (let start = 0; start < words.length; start += containerWords) {
    const end = Math.min(start + containerWords, words.length);
    let cardinality = 0;
    let runs = 0;
    let carried = 0;
    for (let index = start; index < end; index++) {
      const word = words[index] ?? 0;
      if (word !== 0) {
        cardinality += countBits(word);
        // A run begins at each bit whose lower neighbour is not set.
        runs += countBits(word & ~((word << 1) | carried));
      }
      carried = word >>> 31;
    }
    if (cardinality === 0) continue;
    const plain = cardinality <= maxArray ? cardinality * 2 : bitsetBytes;
    const runBytes = 2 + runs * 4;
    const isRun = runBytes < plain;
    containers.push({
      key: start / containerWords,
      cardinality,
      runs,
      form: isRun ? 'run' : cardinality <= maxArray ? 'array' : 'bitset',
      bytes: isRun ? runBytes : plain,
    });
  }
  return containers;
}

function writeContainer(bytes: Buffer, start: number, { form, runs }: Container, words: Uint32Array): void {
  const count = Math.min(containerWords, words.length);
  if (form === 'bitset') {
    for (let index = 0; index < count; index++) bytes.writeUInt32LE(words[index] ?? 0, start + index * 4);
    return;
  }
  let at = start;
  if (form === 'run') {
    bytes.writeUInt16LE(runs, at);
    at += 2;
  }
  let runStart = -1;
  let last = -2;
  for (let index = 0; index < count; index++) {
    for (let bits = words[index] ?? 0; bits !== 0; bits &= bits - 1) {
      const value = index * 32 + 31 - Math.clz32(bits & -bits);
      if (form === 'array') {
        bytes.writeUInt16LE(value, at);
        at += 2;
        continue;
      }
      if (value !== last + 1) {
        if (runStart >= 0) at = writeRun(bytes, at, runStart, last);
        runStart = value;
      }
      last = value;
    }
  }
  if (form === 'run') writeRun(bytes, at, runStart, last);
}

function writeRun(bytes: Buffer, at: number, first: number, last: number): number {
  bytes.writeUInt16LE(first, at);
  bytes.writeUInt16LE(last - first, at + 2);
  return at + 4;
}

/** The positions of a 64-bit roaring bitmap. Throws a RangeError where it is cut off or not one, or goes beyond 2^32. */
export function decodeRoaring(bytes: Buffer): PositionSet {
  const groups = bytes.readBigUInt64LE(0);
  if (groups === 0n) return new PositionSet();
  // Keys rise, so a second group would have an upper half that is not 0.
  if (groups !== 1n || bytes.readUInt32LE(8) !== 0) throw new RangeError('The bitmap has positions beyond 2^32.');
  return PositionSet.ofWords(decodeBitmap(bytes.subarray(12)));
}

function decodeBitmap(bytes: Buffer): Uint32Array {
  const cookie = bytes.readUInt32LE(0);
  const hasRuns = (cookie & 0xffff) === runCookie;
  if (!hasRuns && cookie !== plainCookie) throw new RangeError('The bitmap begins with an unknown cookie.');
  const count = hasRuns ? (cookie >>> 16) + 1 : bytes.readUInt32LE(4);
  if (count > 1 << 16) throw new RangeError('The bitmap has more containers than there are keys.');
  const flagsAt = 4;
  let at = hasRuns ? flagsAt + Math.ceil(count / 8) : 8;
  const headersAt = at;
  at += count * 4;
  if (!hasRuns || count >= noOffsetsBelow) at += count * 4;
  const lastKey = count === 0 ? -1 : bytes.readUInt16LE(headersAt + (count - 1) * 4);
  const words = new Uint32Array((lastKey + 1) * containerWords);
  for (let index = 0; index < count; index++) {
    const key = bytes.readUInt16LE(headersAt + index * 4);
    const cardinality = bytes.readUInt16LE(headersAt + index * 4 + 2) + 1;
    if (key > lastKey) throw new RangeError('The keys of the bitmap do not rise.');
    const container = words.subarray(key * containerWords, (key + 1) * containerWords);
    const isRun = hasRuns && (bytes.readUInt8(flagsAt + (index >> 3)) & (1 << (index & 7))) !== 0;
    if (isRun) at = readRuns(bytes, at, container);
    else if (cardinality <= maxArray) at = readArray(bytes, at, cardinality, container);
    else at = readBitset(bytes, at, container);
  }
  return words;
}

function readRuns(bytes: Buffer, start: number, words: Uint32Array): number {
  const runs = bytes.readUInt16LE(start);
  let at = start + 2;
  for (let run = 0; run < runs; run++, at += 4) {
    const first = bytes.readUInt16LE(at);
    const last = first + bytes.readUInt16LE(at + 2);
    if (last > 0xffff) throw new RangeError('A run of the bitmap leaves its container.');
    for (let value = first; value <= last; value++) setBit(words, value);
  }
  return at;
}

function readArray(bytes: Buffer, start: number, count: number, words: Uint32Array): number {
  const end = start + count * 2;
  for (let at = start; at < end; at += 2) setBit(words, bytes.readUInt16LE(at));
  return end;
}

function readBitset(bytes: Buffer, start: number, words: Uint32Array): number {
  for (let index = 0; index < containerWords; index++) words[index] = bytes.readUInt32LE(start + index * 4);
  return start + bitsetBytes;
}

function setBit(words: Uint32Array, value: number): void {
  words[value >>> 5] = (words[value >>> 5] ?? 0) | (1 << (value & 31));
}
