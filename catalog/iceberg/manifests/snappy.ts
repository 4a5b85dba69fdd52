/**
 * A block of Snappy's raw format unpacked (google/snappy, format_description.txt): the length as a varint, then literals
 * and copies of what is already there. Throws RangeError where it is torn.
 */
export function decompressSnappy(block: Uint8Array): Buffer {
  let at = 0;
  const next = (): number => {
    const byte = block[at++];
    if (byte === undefined) throw new RangeError('The Snappy block is cut off.');
    return byte;
  };
  const littleEndian = (bytes: number): number => {
    let value = 0;
    for (let index = 0; index < bytes; index++) value += next() * 2 ** (8 * index);
    return value;
  };
  const length = varint(next);
  // The format packs by 64 at most: a length beyond that is torn, and is not to be reserved.
  if (length > block.length * 64) throw new RangeError('The Snappy block is torn.');
  const output = Buffer.alloc(length);
  let written = 0;
  while (at < block.length) {
    const tag = next();
    if ((tag & 3) === 0) {
      const short = tag >> 2;
      const count = (short < 60 ? short : littleEndian(short - 59)) + 1;
      if (at + count > block.length || written + count > length) throw new RangeError('The Snappy block is torn.');
      output.set(block.subarray(at, at + count), written);
      at += count;
      written += count;
      continue;
    }
    const isShort = (tag & 3) === 1;
    const count = isShort ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const offset = isShort ? ((tag >> 5) << 8) | next() : littleEndian((tag & 3) === 2 ? 2 : 4);
    if (offset === 0 || offset > written || written + count > length) throw new RangeError('The Snappy block is torn.');
    // Byte by byte: a copy may overlap what it writes.
    for (const end = written + count; written < end; written++) output[written] = output[written - offset] ?? 0;
  }
  if (written !== length) throw new RangeError('The Snappy block is cut off.');
  return output;
}

function varint(next: () => number): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = next();
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw new RangeError('The Snappy block is torn.');
}
