import type { DuckDBConnection } from '@duckdb/node-api';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { RowAppender } from '#catalog/iceberg/files/row-appender.ts';
import { keyIndexes, type Row, type Schema, type Value } from '#catalog/schemas/schema.ts';
import { removeFiles, writeChunkFile } from './chunk-file-writer.ts';
import type { ChunkFile } from './chunk-reader.ts';

/**
 * The files without the rows that have one of these keys (their values in key order). Most files hold none of them and are
 * answered as they are, which costs a look at their key columns; the others are written anew and removed.
 */
export async function excludeKeys(
  connection: DuckDBConnection,
  files: readonly ChunkFile[],
  keys: readonly Row[],
): Promise<ChunkFile[]> {
  const [first] = files;
  if (first === undefined || keys.length === 0) return [...files];
  const gathered = await RowAppender.open(connection, keyColumns(first.schema));
  try {
    for (const key of keys) gathered.append(key as readonly Value[]);
    gathered.finish();
    const kept: ChunkFile[] = [];
    for (const file of files) kept.push(await exclude(connection, file, gathered.table));
    return kept;
  } finally {
    await gathered.drop();
  }
}

async function exclude(connection: DuckDBConnection, file: ChunkFile, touched: string): Promise<ChunkFile> {
  const rows = `read_parquet(${literal(file.path)}) r`;
  const isTouched = keyIndexes(file.schema)
    .map((index, part) => `r.c${index} = w.k${part}`)
    .join(' AND ');
  const counted = await connection.runAndReadAll(`SELECT count(*) FROM ${rows} SEMI JOIN ${touched} w ON ${isTouched}`);
  const found = Number(counted.getRows()[0]?.[0] ?? 0);
  if (found === 0) return file;
  const select = `SELECT r.* FROM ${rows} ANTI JOIN ${touched} w ON ${isTouched}`;
  const left = await writeChunkFile(connection, select, file.schema, file.rows - found);
  await removeFiles([file]);
  return left;
}

function keyColumns(schema: Schema) {
  return keyIndexes(schema).map((index, part) => {
    const field = schema.fields[index];
    if (!field) throw new Error(`field ${index} of a key is not in its schema`);
    return { name: `k${part}`, type: field.type };
  });
}
