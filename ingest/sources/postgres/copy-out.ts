import type pg from 'pg';
import { databaseError, wire } from './connection.ts';

/** A statement that the server answers with CopyData, each handed on as it comes; the bytes are valid during the call only. */
export class CopyOut {
  readonly #sql: string;
  readonly #onData: (bytes: Buffer) => void;
  readonly #onEnd: (error: Error | null) => void;

  constructor(sql: string, onData: (bytes: Buffer) => void, onEnd: (error: Error | null) => void) {
    this.#sql = sql;
    this.#onData = onData;
    this.#onEnd = onEnd;
  }

  submit(connection: { query(sql: string): void }): void {
    connection.query(this.#sql);
  }

  handleCopyData(message: { chunk: Buffer }): void {
    this.#onData(message.chunk);
  }

  handleError(error: Error): void {
    this.#onEnd(databaseError(error));
  }

  handleReadyForQuery(): void {
    this.#onEnd(null);
  }

  /** The ends of a COPY say nothing that ReadyForQuery does not. */
  handleCommandComplete(): void {}
}

/** Consecutive rows of a `COPY … TO STDOUT`, as the server wrote them. */
export interface CopyChunk {
  bytes: Buffer;
  rows: number;
  /** Bytes of the longest one. */
  longestRow: number;
  /** Where the last one begins. */
  lastRow: number;
}

/** Rows of a `COPY … TO STDOUT` in pieces of about `maxBytes`. The socket rests while more than one waits for the reader. */
export async function* copyChunks(client: pg.Client, sql: string, maxBytes: number): AsyncGenerator<CopyChunk> {
  const chunks: CopyChunk[] = [];
  let buffer = Buffer.allocUnsafe(maxBytes);
  let length = 0;
  let rows = 0;
  let longestRow = 0;
  let lastRow = 0;
  let failure: unknown = null;
  let isEnded = false;
  let wake: () => void = () => {};
  const { stream } = wire(client);
  const close = () => {
    if (rows > 0) chunks.push({ bytes: buffer.subarray(0, length), rows, longestRow, lastRow });
    if (chunks.length > 1) stream.pause();
    buffer = Buffer.allocUnsafe(isEnded ? 0 : maxBytes);
    length = 0;
    rows = 0;
    longestRow = 0;
    wake();
  };
  const onData = (row: Buffer) => {
    if (length + row.length > buffer.length) {
      if (rows > 0) close();
      if (row.length > buffer.length) buffer = Buffer.allocUnsafe(row.length);
    }
    row.copy(buffer, length);
    lastRow = length;
    length += row.length;
    rows += 1;
    if (row.length > longestRow) longestRow = row.length;
  };
  const onEnd = (error: Error | null) => {
    failure ??= error;
    isEnded = true;
    close();
  };
  client.query(new CopyOut(sql, onData, onEnd) as unknown as pg.Submittable);
  for (;;) {
    const chunk = chunks.shift();
    if (chunk !== undefined) {
      if (chunks.length <= 1) stream.resume();
      yield chunk;
      continue;
    }
    if (failure !== null) throw failure;
    if (isEnded) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}
