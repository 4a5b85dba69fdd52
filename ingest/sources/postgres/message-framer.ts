const headerBytes = 5;

/** What becomes of the messages of a `MessageFramer`, in order. */
export interface MessageSink {
  /**
   * A message's payload: `bytes` from `start` to `end`, valid during the call only. False where it must be given once more
   * after `resume`, which only a sink may answer that has paused the framer.
   */
  message(code: number, bytes: Buffer, start: number, end: number): boolean;
  /** A piece of a payload that is longer than the framer may hold; `left` bytes of it are still to come after this one. */
  piece(code: number, bytes: Buffer, left: number): void;
}

/**
 * Cuts a stream of bytes into messages as Postgres frames them: Byte1 code · Int32 length (with itself, without the code) ·
 * payload. A payload that lies within one chunk is handed on where it is; one that does not is put together once, in memory
 * of its own length; one of more than `maxBytes` goes by in pieces and is never held.
 */
export class MessageFramer {
  readonly #sink: MessageSink;
  readonly #maxBytes: number;
  /** Not looked at yet, in order; the first from `#at` on. */
  #chunks: Buffer[] = [];
  #at = 0;
  /** The message at the head of `#chunks` that did not lie in one chunk. */
  #whole: Buffer | null = null;
  #wholeLength = 0;
  #code = 0;
  /** Bytes left of a payload that is not held. */
  #passing = 0;
  #isPaused = false;
  #isRunning = false;

  constructor(sink: MessageSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#run();
  }

  /** No message is handed on any more after the one in hand. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on with what was pushed meanwhile; all of it is handed on when this returns, unless it was paused again. */
  resume(): void {
    this.#isPaused = false;
    this.#run();
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (!this.#isPaused && this.#step()) {
        // Each step is a message, a part of one, or all messages of a chunk.
      }
    } finally {
      this.#isRunning = false;
    }
  }

  /** False where more bytes are needed, or the sink has paused us. */
  #step(): boolean {
    if (this.#whole !== null && this.#wholeLength === this.#whole.length) return this.#handWhole(this.#whole);
    const chunk = this.#chunks[0];
    if (chunk === undefined) return false;
    if (this.#whole !== null) this.#fill(this.#whole, chunk);
    else if (this.#passing > 0) this.#pass(chunk);
    else return this.#handChunk(chunk);
    return true;
  }

  #handWhole(whole: Buffer): boolean {
    if (!this.#sink.message(this.#code, whole, 0, whole.length)) return false;
    this.#whole = null;
    return true;
  }

  #fill(whole: Buffer, chunk: Buffer): void {
    const taken = Math.min(whole.length - this.#wholeLength, chunk.length - this.#at);
    chunk.copy(whole, this.#wholeLength, this.#at, this.#at + taken);
    this.#wholeLength += taken;
    this.#take(chunk, taken);
  }

  #pass(chunk: Buffer): void {
    const taken = Math.min(this.#passing, chunk.length - this.#at);
    this.#passing -= taken;
    const piece = chunk.subarray(this.#at, this.#at + taken);
    this.#take(chunk, taken);
    this.#sink.piece(this.#code, piece, this.#passing);
  }

  /** Hands on the messages that lie in this chunk, and begins with the one that does not end in it. */
  #handChunk(chunk: Buffer): boolean {
    const end = chunk.length;
    while (this.#at + headerBytes <= end) {
      const code = chunk[this.#at] as number;
      const start = this.#at + headerBytes;
      const length = chunk.readUInt32BE(this.#at + 1) - 4;
      if (length < 0) throw new RangeError('a message is shorter than its own length');
      if (start + length > end) {
        this.#code = code;
        this.#take(chunk, headerBytes);
        if (length > this.#maxBytes) {
          this.#passing = length;
        } else {
          this.#whole = Buffer.allocUnsafe(length);
          this.#wholeLength = 0;
        }
        return true;
      }
      if (!this.#sink.message(code, chunk, start, start + length)) return false;
      this.#at = start + length;
      if (this.#isPaused) {
        if (this.#at === end) this.#take(chunk, 0);
        return false;
      }
    }
    if (this.#at === end) {
      this.#take(chunk, 0);
      return true;
    }
    // A header that is cut is put together with the chunk after it.
    const next = this.#chunks[1];
    if (next === undefined) return false;
    this.#chunks.splice(0, 2, Buffer.concat([chunk.subarray(this.#at), next]));
    this.#at = 0;
    return true;
  }

  #take(chunk: Buffer, bytes: number): void {
    this.#at += bytes;
    if (this.#at < chunk.length) return;
    this.#chunks.shift();
    this.#at = 0;
  }
}
