import zlib from 'node:zlib';
import { ByteReader } from './byte-reader.ts';
import { malformed } from './protocol-error.ts';

/** What an event may hold unpacked: as much as a packet of the server. */
const maxEventBytes = 1 << 30;

/**
 * MariaDB's compressed part of an event (sql/log_event.cc, binlog_buf_compress): Int8 0x80 + algorithm (0, zlib) × 2^4 +
 * n · n bytes of length, big-endian · zlib.
 */
export function inflatePart(bytes: Buffer): Buffer {
  const head = bytes[0] ?? 0;
  const lengthBytes = head & 7;
  if (
    (head & 0xe0) !== 0x80 ||
    (head & 0x70) !== 0 ||
    lengthBytes < 1 ||
    lengthBytes > 4 ||
    bytes.length <= lengthBytes
  ) {
    throw malformed('a compressed event is of an unknown kind');
  }
  return inflate(bytes.subarray(1 + lengthBytes), bytes.readUIntBE(1, lengthBytes), true);
}

/**
 * A value of a MariaDB column with the attribute COMPRESSED (sql/field.cc, Field_longstr::compress): empty; Int8 0 · the
 * bytes as they are; or Int8 algorithm (8, zlib) × 2^4 + 8 if it has no zlib header + n · n bytes of length,
 * big-endian · zlib.
 */
export function uncompressColumn(bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const head = bytes.readUInt8(0);
  if (head === 0) return bytes.subarray(1);
  const lengthBytes = head & 7;
  if (head >> 4 !== 8 || lengthBytes < 1 || lengthBytes > 4 || bytes.length <= lengthBytes) {
    throw malformed('a compressed column is of an unknown kind');
  }
  return inflate(bytes.subarray(1 + lengthBytes), bytes.readUIntBE(1, lengthBytes), (head & 8) === 0);
}

function inflate(bytes: Buffer, length: number, hasHeader: boolean): Buffer {
  let plain: Buffer;
  try {
    const options = { maxOutputLength: maxEventBytes };
    plain = hasHeader ? zlib.inflateSync(bytes, options) : zlib.inflateRawSync(bytes, options);
  } catch (error) {
    throw malformed(`something compressed cannot be unpacked (${error instanceof Error ? error.message : error})`);
  }
  if (plain.length !== length) throw malformed('something compressed has not the length that it says');
  return plain;
}

/**
 * MySQL's TRANSACTION_PAYLOAD (libs/mysql/binlog/event/codecs/binary.cpp), numbers length-encoded: fields of type, length,
 * value, till type 0; then the events, packed:
 *
 *     1 bytes of the packed events · 2 algorithm, 0 zstd, 255 none · 3 bytes of the events
 *
 * Gives the events one after another, in pieces as they are unpacked, so that no transaction must fit in memory.
 */
export function payloadOf(reader: ByteReader): { isCompressed: boolean; bytes: Buffer } {
  let algorithm: number | null = null;
  let size: number | null = null;
  for (;;) {
    const type = reader.lenenc();
    if (type === 0) break;
    const field = new ByteReader(reader.take(reader.lenenc()));
    if (type === 1) size = field.lenenc();
    else if (type === 2) algorithm = field.lenenc();
  }
  if (size === null || (algorithm !== 0 && algorithm !== 255)) {
    throw malformed('a compressed transaction is of an unknown kind', { algorithm });
  }
  return { isCompressed: algorithm === 0, bytes: reader.take(size) };
}
