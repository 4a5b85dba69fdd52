import type { Duplex } from 'node:stream';
import type { Connection } from './connection.ts';
import { statementError } from './connection-error.ts';

/** One row, each value the bytes that the server printed, null for NULL. */
export type PrintedRow = readonly (Buffer | null)[];

/** What the driver's connection is below its promises; not in its type definitions as we need it. */
interface DriverConnection {
  query(options: { sql: string; rowsAsArray: boolean }): {
    on(event: 'result', listener: (row: PrintedRow) => void): void;
    on(event: 'error', listener: (error: Error) => void): void;
    on(event: 'end', listener: () => void): void;
  };
  pause(): void;
  resume(): void;
  stream: Duplex;
}

/** Rows of a SELECT in lists of about `maxBytes`. The socket rests while a list waits for its reader. */
export async function* printedRows(
  connection: Connection,
  sql: string,
  maxBytes: number,
): AsyncGenerator<PrintedRow[]> {
  const driver = (connection as unknown as { connection: unknown }).connection as DriverConnection;
  let rows: PrintedRow[] = [];
  let bytes = 0;
  let failure: Error | null = null;
  let isEnded = false;
  let wake: () => void = () => {};
  const query = driver.query({ sql, rowsAsArray: true });
  query.on('result', (row) => {
    rows.push(row);
    for (const value of row) bytes += value?.length ?? 0;
    bytes += 16 * row.length;
    if (bytes < maxBytes) return;
    driver.pause();
    wake();
  });
  query.on('error', (error) => {
    failure = error;
    wake();
  });
  query.on('end', () => {
    isEnded = true;
    wake();
  });
  // A connection that breaks is told to the query only where it has a callback.
  const onClose = () => {
    if (!isEnded) failure ??= new Error('the connection was ended');
    wake();
  };
  driver.stream.once('close', onClose);
  try {
    for (;;) {
      if (failure !== null) throw statementError(failure);
      if (bytes >= maxBytes || (isEnded && rows.length > 0)) {
        const list = rows;
        rows = [];
        bytes = 0;
        yield list;
        if (!isEnded) driver.resume();
        continue;
      }
      if (isEnded) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    driver.stream.off('close', onClose);
  }
}
