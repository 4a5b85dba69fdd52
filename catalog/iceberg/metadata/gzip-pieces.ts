import { constants, crc32, deflateRawSync } from 'node:zlib';

/*
 * A gzip file (RFC 1952) put together from pieces that were packed one by one, so that those which stay the same from one
 * file to the next are packed once. To whoever unpacks it, it is one member like any other:
 *
 *   header | deflate blocks of the first piece, to a byte's end | … | an empty last block | CRC-32: u32 LE | length: u32 LE
 */
const header = Buffer.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
/** A last block of fixed codes that ends at once. */
const lastBlock = Buffer.of(3, 0);

/** Text that was packed by itself. */
export interface Piece {
  packed: Buffer;
  /** Of what is packed, in bytes. */
  length: number;
  crc: number;
}

export function packPiece(text: string): Piece {
  const bytes = Buffer.from(text);
  // No block of a piece is the last one, and none looks back beyond it.
  const packed = deflateRawSync(bytes, { level: 1, finishFlush: constants.Z_FULL_FLUSH });
  return { packed, length: bytes.length, crc: crc32(bytes) };
}

/** The gzip file of these pieces' texts, one after the other. */
export function gzipOf(pieces: readonly Piece[]): Buffer {
  let crc = 0;
  let length = 0;
  for (const piece of pieces) {
    crc = appendCrc(crc, piece.crc, piece.length);
    length += piece.length;
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(length % 2 ** 32, 4);
  return Buffer.concat([header, ...pieces.map(({ packed }) => packed), lastBlock, trailer]);
}

/** The CRC-32 of two texts, one after the other, from those of each: that of the first goes on over the second's zeros. */
function appendCrc(first: number, second: number, secondLength: number): number {
  let crc = first;
  for (let power = 0, left = secondLength; left > 0; power++, left = Math.floor(left / 2)) {
    if (left % 2 === 1) crc = times(zeros(power), crc);
  }
  return (crc ^ second) >>> 0;
}

/** Matrices over bits that take a CRC past 2^power zero bytes: a column for each bit. */
const matrices: Uint32Array[] = [];

function zeros(power: number): Uint32Array {
  while (matrices.length <= power) {
    const last = matrices.at(-1);
    matrices.push(last ? Uint32Array.from(last, (column) => times(last, column)) : ofOneByte());
  }
  return matrices[power] ?? ofOneByte();
}

function ofOneByte(): Uint32Array {
  return Uint32Array.from({ length: 32 }, (_, bit) => {
    let crc = (1 << bit) >>> 0;
    for (let step = 0; step < 8; step++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc;
  });
}

function times(matrix: Uint32Array, vector: number): number {
  let product = 0;
  for (let bit = 0; bit < 32; bit++) if ((vector & (1 << bit)) !== 0) product ^= matrix[bit] ?? 0;
  return product >>> 0;
}
