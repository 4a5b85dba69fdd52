import { closeSync, ftruncateSync, openSync, read, rmSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { DailiesError } from '#catalog/error.ts';
import { scratchPath } from '#catalog/scratch.ts';

const readAt = promisify(read);

const COPY_DATA = 100; // d
const headerBytes = 5;
const firstTailBytes = 16 << 10;
/** What is gathered in memory before it goes to the file in one write. */
const tailBytes = 1 << 20;
const chunkBytes = 256 << 10;

/**
 * Messages of a transaction that the server tells while it is under way, kept until it commits: up to 1 MiB in memory, beyond
 * that in a file on this machine, framed as they came (Byte1 `d` · Int32 length · message). A subtransaction that was rolled
 * back takes with it all since its first message, for what came after belongs to it or to subtransactions within it.
 */
export class TransactionSpool {
  /** First place of each subtransaction. */
  readonly #firstAt = new Map<number, number>();
  /** The same ones in the order of their places. */
  readonly #xids: number[] = [];
  /** The tables that were described, in order: when that came, among all that the stream has described. */
  readonly #described: { at: number; arrival: number }[] = [];
  #path: string | null = null;
  #file: number | null = null;
  #fileBytes = 0;
  #tail: Buffer = Buffer.alloc(0);
  #tailBytes = 0;

  get bytes(): number {
    return this.#fileBytes + this.#tailBytes;
  }

  get memoryBytes(): number {
    return this.#tail.length;
  }

  /** Of the transaction and of its subtransactions, as far as they have told something and were not rolled back. */
  get xids(): readonly number[] {
    return this.#xids;
  }

  get arrivals(): readonly number[] {
    return this.#described.map(({ arrival }) => arrival);
  }

  /** `arrival`: of a message that describes a table; else null. Throws `disk_full`. */
  append(xid: number, bytes: Buffer, start: number, end: number, arrival: number | null): void {
    if (!this.#firstAt.has(xid)) {
      this.#firstAt.set(xid, this.bytes);
      this.#xids.push(xid);
    }
    if (arrival !== null) this.#described.push({ at: this.bytes, arrival });
    const length = end - start;
    const isLong = headerBytes + length > tailBytes;
    this.#reserve(isLong ? headerBytes : headerBytes + length);
    this.#tail[this.#tailBytes] = COPY_DATA;
    this.#tail.writeUInt32BE(length + 4, this.#tailBytes + 1);
    this.#tailBytes += headerBytes;
    if (isLong) {
      this.spill();
      this.#write(bytes, start, length);
      return;
    }
    bytes.copy(this.#tail, this.#tailBytes, start, end);
    this.#tailBytes += length;
  }

  /** Forgets what a subtransaction and those within it have done; nothing if it has told nothing. */
  abort(xid: number): void {
    const at = this.#firstAt.get(xid);
    if (at === undefined) return;
    if (at >= this.#fileBytes) {
      this.#tailBytes = at - this.#fileBytes;
    } else {
      this.#tailBytes = 0;
      this.#fileBytes = at;
      if (this.#file !== null) ftruncateSync(this.#file, at);
    }
    for (let last = this.#xids.at(-1); last !== undefined; last = this.#xids.at(-1)) {
      if ((this.#firstAt.get(last) ?? 0) < at) break;
      this.#firstAt.delete(last);
      this.#xids.pop();
    }
    while ((this.#described.at(-1)?.at ?? -1) >= at) this.#described.pop();
  }

  /** Writes what is in memory to the file, and frees it. */
  spill(): void {
    if (this.#tailBytes > 0) this.#write(this.#tail, 0, this.#tailBytes);
    this.#tail = Buffer.alloc(0);
    this.#tailBytes = 0;
  }

  /** All of it in order, in pieces that end anywhere; nothing may be appended any more. */
  async *chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; this.#file !== null && at < this.#fileBytes; ) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, this.#fileBytes - at));
      const { bytesRead } = await readAt(this.#file, chunk, 0, chunk.length, at);
      if (bytesRead === 0) {
        throw new DailiesError(
          'internal',
          'A file that holds a transaction under way was cut by somebody; the source reads it again.',
        );
      }
      at += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
    if (this.#tailBytes > 0) yield this.#tail.subarray(0, this.#tailBytes);
  }

  discard(): void {
    if (this.#file !== null) closeSync(this.#file);
    if (this.#path !== null) rmSync(this.#path, { force: true });
    this.#file = null;
    this.#tail = Buffer.alloc(0);
    this.#tailBytes = 0;
  }

  #reserve(bytes: number): void {
    if (this.#tailBytes + bytes > tailBytes) this.spill();
    const needed = this.#tailBytes + bytes;
    if (needed <= this.#tail.length) return;
    const larger = Buffer.allocUnsafe(Math.min(tailBytes, Math.max(needed, this.#tail.length * 2, firstTailBytes)));
    this.#tail.copy(larger, 0, 0, this.#tailBytes);
    this.#tail = larger;
  }

  #write(bytes: Buffer, start: number, length: number): void {
    try {
      if (this.#file === null) {
        this.#path = scratchPath('.transaction');
        this.#file = openSync(this.#path, 'w+', 0o600);
      }
      for (let done = 0; done < length; ) {
        done += writeSync(this.#file, bytes, start + done, length - done, this.#fileBytes + done);
      }
    } catch (cause) {
      const isFull = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
      throw new DailiesError(
        isFull ? 'disk_full' : 'internal',
        isFull
          ? `No space is left in ${this.#path} for a transaction that is under way at the source; make room there, or set TMPDIR to a larger disk.`
          : `A transaction that is under way at the source could not be kept in ${this.#path}: ${String(cause)}`,
        { cause },
      );
    }
    this.#fileBytes += length;
  }
}
