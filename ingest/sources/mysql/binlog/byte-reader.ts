import { malformed } from './protocol-error.ts';

/** Reads little-endian numbers and texts one after another, never beyond `end`: that is a `source_protocol`. */
export class ByteReader {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Steps over `length` bytes and gives where they began. */
  skip(length: number): number {
    const start = this.at;
    // Also false for NaN.
    if (!(length >= 0 && length <= this.end - start)) throw malformed('an event ends in the midst of a value');
    this.at = start + length;
    return start;
  }

  u8(): number {
    return this.bytes[this.skip(1)] ?? 0;
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.skip(2));
  }

  u24(): number {
    return this.bytes.readUIntLE(this.skip(3), 3);
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.skip(4));
  }

  u48(): number {
    return this.bytes.readUIntLE(this.skip(6), 6);
  }

  u64(): bigint {
    return this.bytes.readBigUInt64LE(this.skip(8));
  }

  /** A length-encoded integer (dev.mysql.com/doc/dev/mysql-server, Protocol::LengthEncodedInteger), up to 2^53. */
  lenenc(): number {
    const first = this.u8();
    if (first < 0xfb) return first;
    if (first === 0xfc) return this.u16();
    if (first === 0xfd) return this.u24();
    if (first === 0xfe) {
      const value = this.u64();
      if (value <= 0x1fffffffffffffn) return Number(value);
    }
    throw malformed('a length is none');
  }

  /** A view of the next bytes, not a copy. */
  take(length: number): Buffer {
    const start = this.skip(length);
    return this.bytes.subarray(start, start + length);
  }

  utf8(length: number): string {
    const start = this.skip(length);
    return this.bytes.toString('utf8', start, start + length);
  }

  /** Text up to a zero byte, which is stepped over. */
  utf8Zero(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0 || end >= this.end) throw malformed('a text has no end');
    const text = this.utf8(end - this.at);
    this.at += 1;
    return text;
  }
}
