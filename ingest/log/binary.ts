import { DailiesError } from '#catalog/error.ts';

/*
 * Text: varint of (length << 2 | encoding), then its bytes. Encodings: 0 one byte a character below U+0100, 1 UTF-8,
 * 2 UTF-16 for text that is not well-formed. Varint: 7 bits a byte, low first, up to 2^53.
 */
const latin1 = 0;
const utf8 = 1;
const utf16 = 2;
/** Below this length a loop in JavaScript beats a call into native code. */
const shortText = 24;
const keptBytes = 32 << 20;
const handedBytes = 8 << 20;

export class BinaryWriter {
  position = 0;
  #buffer = Buffer.allocUnsafeSlow(1 << 20);
  #view = new DataView(this.#buffer.buffer);

  reset(): void {
    this.position = 0;
    if (this.#buffer.length > keptBytes) this.#replace(1 << 20, 0);
  }

  /** All that was written, the caller's own; `reset` is to come next. A long one is not copied: its room goes with it. */
  take(): Buffer {
    const written = this.#buffer.subarray(0, this.position);
    if (this.position <= handedBytes) return Buffer.from(written);
    this.#replace(1 << 20, 0);
    return written;
  }

  skip(bytes: number): void {
    this.#reserve(bytes);
    this.position += bytes;
  }

  byte(value: number): void {
    if (this.position >= this.#buffer.length) this.#reserve(1);
    this.#buffer[this.position++] = value;
  }

  varint(value: number): void {
    this.#reserve(8);
    const buffer = this.#buffer;
    let rest = value;
    while (rest >= 0x80) {
      buffer[this.position++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    buffer[this.position++] = rest;
  }

  /** A signed 32-bit integer. */
  zigzag(value: number): void {
    this.varint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  uint32At(position: number, value: number): void {
    this.#view.setUint32(position, value, true);
  }

  int64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigInt64(this.position, value, true);
    this.position += 8;
  }

  double(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.position, value, true);
    this.position += 8;
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.position);
    this.position += value.length;
  }

  text(value: string): void {
    const length = value.length;
    if (length <= shortText) {
      this.#reserve(length + 1);
      const buffer = this.#buffer;
      const start = this.position;
      let at = start + 1;
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code > 0xff) break;
        buffer[at++] = code;
      }
      if (i === length) {
        buffer[start] = length << 2;
        this.position = at;
        return;
      }
    }
    this.#longText(value);
  }

  #longText(value: string): void {
    const bytes = Buffer.byteLength(value, 'utf8');
    const encoding = bytes === value.length ? latin1 : value.isWellFormed() ? utf8 : utf16;
    const size = encoding === utf16 ? value.length * 2 : bytes;
    this.varint(size * 4 + encoding);
    this.#reserve(size);
    const name = encoding === latin1 ? 'latin1' : encoding === utf8 ? 'utf8' : 'utf16le';
    this.#buffer.write(value, this.position, name);
    this.position += size;
  }

  #reserve(bytes: number): void {
    const needed = this.position + bytes;
    const { length } = this.#buffer;
    // A little beyond what is needed: behind a very long value mostly little follows.
    if (needed > length) {
      this.#replace(Math.max(needed + (needed >> 3), Math.min(length * 2, length + keptBytes)), this.position);
    }
  }

  #replace(length: number, kept: number): void {
    const old = this.#buffer;
    this.#buffer = Buffer.allocUnsafeSlow(length);
    this.#view = new DataView(this.#buffer.buffer);
    old.copy(this.#buffer, 0, 0, kept);
  }
}

/** Reads what BinaryWriter wrote, between two places of a buffer; throws `log_corrupt` beyond its end. */
export class BinaryReader {
  #position: number;
  readonly #end: number;
  readonly #buffer: Buffer;
  readonly #view: DataView;

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, end);
    this.#position = start;
    this.#end = end;
  }

  skip(bytes: number): void {
    this.#take(bytes);
  }

  byte(): number {
    const value = this.#buffer[this.#position++];
    if (value === undefined || this.#position > this.#end) throw beyondEnd();
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  zigzag(): number {
    const value = this.varint();
    return (value >>> 1) ^ -(value & 1);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  int64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** A copy, which outlives the buffer. */
  bytes(): Uint8Array {
    const length = this.varint();
    const start = this.#take(length);
    return new Uint8Array(this.#buffer.subarray(start, start + length));
  }

  text(): string {
    const head = this.varint();
    const size = Math.floor(head / 4);
    const start = this.#take(size);
    switch (head % 4) {
      case latin1:
        return this.#buffer.toString('latin1', start, start + size);
      case utf8:
        return this.#buffer.toString('utf8', start, start + size);
      case utf16:
        return this.#buffer.toString('utf16le', start, start + size);
      default:
        throw new DailiesError('log_corrupt', 'A record of the log holds a text of an unknown encoding.');
    }
  }

  #take(bytes: number): number {
    const start = this.#position;
    this.#position += bytes;
    if (this.#position > this.#end) throw beyondEnd();
    return start;
  }
}

function beyondEnd(): DailiesError {
  return new DailiesError('log_corrupt', 'A record of the log ends before what it announces.');
}
