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

/**
 * Rows of a `COPY … TO STDOUT`, decoded by `decode`, in lists of about `maxBytes` of the server's text or `maxRows`. The
 * socket rests while more than two lists wait for the reader.
 */
export async function* copyRows<T>(
  client: pg.Client,
  sql: string,
  decode: (bytes: Buffer) => T,
  limits: { maxBytes: number; maxRows: number },
): AsyncGenerator<{ rows: T[]; bytes: number }> {
  const lists: { rows: T[]; bytes: number }[] = [];
  let rows: T[] = [];
  let bytes = 0;
  let failure: unknown = null;
  let isEnded = false;
  let wake: () => void = () => {};
  const { stream } = wire(client);
  const close = () => {
    if (rows.length > 0) lists.push({ rows, bytes });
    rows = [];
    bytes = 0;
    wake();
  };
  const onData = (chunk: Buffer) => {
    if (failure !== null) return;
    try {
      rows.push(decode(chunk));
    } catch (error) {
      failure = error;
      wake();
      return;
    }
    bytes += chunk.length;
    if (bytes < limits.maxBytes && rows.length < limits.maxRows) return;
    close();
    if (lists.length > 2) stream.pause();
  };
  const onEnd = (error: Error | null) => {
    failure ??= error;
    isEnded = true;
    close();
  };
  client.query(new CopyOut(sql, onData, onEnd) as unknown as pg.Submittable);
  for (;;) {
    const list = lists.shift();
    if (list !== undefined) {
      yield list;
      continue;
    }
    if (failure !== null) throw failure;
    if (isEnded) return;
    stream.resume();
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}
