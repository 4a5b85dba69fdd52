import { DailiesError } from '#catalog/error.ts';
import type { BinlogRows } from './binlog/binlog-item.ts';
import { type BinlogOptions, openBinlog } from './binlog/binlog-stream.ts';

/**
 * The rows of a prepared XA transaction, read from the log again: its PREPARE comes after `options.from`. Throws
 * `source_slot_lost` where the server no longer has that part of its log.
 */
export async function* preparedRows(
  options: BinlogOptions,
  xid: string,
  signal: AbortSignal,
): AsyncGenerator<BinlogRows> {
  // Whose rows they are is known at the end of each transaction; on MariaDB, at its beginning.
  const end = await prepareOf(options, xid, signal);
  const stream = await openBinlog(options, signal);
  try {
    let isOurs = false;
    for (let items = await stream.read(); items !== null; items = await stream.read()) {
      for (const item of items) {
        if (item.kind === 'begin') isOurs = item.gtid === end;
        else if (isOurs && item.kind === 'rows') yield item;
        else if (isOurs && item.kind === 'prepare') return;
      }
    }
  } finally {
    await stream.close();
  }
}

/** The transaction that prepared it. */
async function prepareOf(options: BinlogOptions, xid: string, signal: AbortSignal): Promise<string> {
  const stream = await openBinlog({ ...options, wants: () => false }, signal);
  try {
    for (let items = await stream.read(); items !== null; items = await stream.read()) {
      for (const item of items) if (item.kind === 'prepare' && item.xid === xid) return item.gtid;
    }
  } finally {
    await stream.close();
  }
  signal.throwIfAborted();
  throw new DailiesError('source_unreachable', 'The connection ended while a prepared transaction was read.');
}
