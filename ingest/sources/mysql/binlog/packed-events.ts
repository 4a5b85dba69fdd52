import { once } from 'node:events';
import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { headerBytes } from './event-header.ts';
import { malformed } from './protocol-error.ts';

/** The events of MySQL's compressed transaction, one after another; no more of it is unpacked at once than one event needs. */
export class PackedEvents {
  readonly #stream: Readable;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #isEnded = false;
  #failure: Error | null = null;

  constructor({ isCompressed, bytes }: { isCompressed: boolean; bytes: Buffer }) {
    // A copy: the stream outlives the packet's buffer.
    const whole = Readable.from([Buffer.from(bytes)]);
    this.#stream = isCompressed ? whole.pipe(createZstdDecompress()) : whole;
    this.#stream.on('end', () => {
      this.#isEnded = true;
    });
    this.#stream.on('error', (error) => {
      this.#failure = error;
    });
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
      const chunk: Buffer | null = this.#stream.read();
      if (chunk !== null) {
        this.#waiting.push(chunk);
        this.#bytes += chunk.length;
        continue;
      }
      if (this.#failure !== null)
        throw malformed(`a compressed transaction cannot be unpacked (${this.#failure.message})`);
      if (this.#isEnded) return false;
      await Promise.race([
        once(this.#stream, 'readable'),
        once(this.#stream, 'end'),
        once(this.#stream, 'error'),
      ]).catch((error: Error) => {
        this.#failure ??= error;
      });
    }
    return true;
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
