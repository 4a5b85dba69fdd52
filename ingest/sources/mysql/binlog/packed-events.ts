import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { headerBytes } from './event-header.ts';
import { malformed } from './protocol-error.ts';

/** The events of MySQL's compressed transaction, one after another; no more of it is unpacked at once than one event needs. */
export class PackedEvents {
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  #waiting: Buffer[] = [];
  #bytes = 0;

  constructor({ isCompressed, bytes }: { isCompressed: boolean; bytes: Buffer }) {
    // A copy: the stream outlives the packet's buffer.
    const whole = Readable.from([Buffer.from(bytes)]);
    this.#stream = isCompressed ? whole.pipe(createZstdDecompress()) : whole;
    this.#chunks = this.#stream[Symbol.asyncIterator]();
  }

  /** Null after the last. Throws `source_protocol` if what is packed is none, or ends in the midst of an event. */
  async next(): Promise<Buffer | null> {
    if (!(await this.#have(headerBytes))) {
      if (this.#bytes === 0) return null;
      throw malformed('a compressed transaction ends in the midst of an event');
    }
    const length = this.#joined().readUInt32LE(9);
    if (length < headerBytes || !(await this.#have(length))) {
      throw malformed('a compressed transaction ends in the midst of an event');
    }
    const joined = this.#joined();
    this.#waiting = [joined.subarray(length)];
    this.#bytes -= length;
    return joined.subarray(0, length);
  }

  async #have(bytes: number): Promise<boolean> {
    while (this.#bytes < bytes) {
      const { done, value } = await this.#unpacked();
      if (done === true) return false;
      this.#waiting.push(value);
      this.#bytes += value.length;
    }
    return true;
  }

  async #unpacked(): Promise<IteratorResult<Buffer>> {
    try {
      return await this.#chunks.next();
    } catch (error) {
      throw malformed(
        `a compressed transaction cannot be unpacked (${error instanceof Error ? error.message : error})`,
      );
    }
  }

  #joined(): Buffer {
    const [first] = this.#waiting;
    if (first !== undefined && this.#waiting.length === 1) return first;
    const joined = Buffer.concat(this.#waiting);
    this.#waiting = [joined];
    return joined;
  }

  close(): void {
    this.#stream.destroy();
  }
}
