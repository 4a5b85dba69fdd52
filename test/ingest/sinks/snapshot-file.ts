import { readFile, rm } from 'node:fs/promises';
import { openDataFile } from '#catalog/iceberg/files/data-file-writer.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { createIcebergSchema } from '#catalog/iceberg/metadata/schema-evolution.ts';
import type { Row, Schema, Value } from '#catalog/schemas/schema.ts';
import { scratchPath } from '#catalog/scratch.ts';

/** These rows as a source hands over a snapshot's: a Parquet file with columns `c0`, `c1`, … */
export async function snapshotFile(schema: Schema, rows: readonly Row[]): Promise<Uint8Array> {
  const fields = schema.fields.map((field, index) => ({ ...field, name: `c${index}` }));
  const numbered: Schema = { fields, key: [] };
  const path = scratchPath('.parquet');
  const connection = await connectDuckdb();
  try {
    const iceberg = createIcebergSchema(numbered).schema;
    const writer = await openDataFile(connection, { schema: numbered, iceberg }, `file://${path}`);
    for (const row of rows) writer.append(row as readonly Value[]);
    await writer.finish();
    return await readFile(path);
  } finally {
    connection.closeSync();
    await rm(path, { force: true });
  }
}
