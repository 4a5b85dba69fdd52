import { rm, writeFile } from 'node:fs/promises';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { fromDuckdb } from '#catalog/iceberg/files/duckdb-values.ts';
import { selectNumbered } from '#catalog/iceberg/files/numbered-columns.ts';
import { scratchPath } from '#catalog/scratch.ts';
import type { SnapshotRows, TableChanges, Transaction } from './event.ts';

const listRows = 5_000;

/** The rows of a snapshot's file as events, for whoever takes no files; in lists of at most a few thousand, in file order. */
export async function* eventsOf(
  { table, schema, parquet }: SnapshotRows,
  transaction: Transaction,
): AsyncGenerator<TableChanges> {
  const path = scratchPath('.parquet');
  const connection = await connectDuckdb();
  try {
    await writeFile(path, parquet);
    const convert = schema.fields.map((field) => fromDuckdb(field.type));
    const transactions = [transaction];
    const result = await connection.stream(selectNumbered([path], schema));
    let events: TableChanges['events'] = [];
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
      const columns = chunk.getColumns();
      for (let at = 0; at < chunk.rowCount; at++) {
        const after = convert.map((read, index) => read(columns[index]?.[at] ?? null));
        events.push({ op: 'r', before: null, after, tx: 0 });
      }
      if (events.length < listRows) continue;
      yield { table, schema, events, transactions };
      events = [];
    }
    if (events.length > 0) yield { table, schema, events, transactions };
  } finally {
    connection.closeSync();
    await rm(path, { force: true });
  }
}
