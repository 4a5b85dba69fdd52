import type { Row, Schema } from '../../schemas/schema.ts';
import { keyEncoder, rowHasher } from '../files/key-encoding.ts';
import type { PositionSet } from '../files/position-set.ts';
import type { ReadSchema } from '../files/read-data-file.ts';
import type { WorkingFile, WorkingFiles } from './working-files.ts';

/** A row's key as the index has it (of a table without one its hash), and its position in the file. */
export interface KeyAt {
  key: Buffer;
  position: number;
}

/** Only the key's columns, in key order. */
export function keyColumns({ schema, iceberg }: ReadSchema): ReadSchema {
  const indexes = schema.key.map((name) => schema.fields.findIndex((field) => field.name === name));
  const fields = indexes.flatMap((index) => schema.fields[index] ?? []);
  return {
    schema: { fields, key: schema.key } satisfies Schema,
    iceberg: indexes.flatMap((index) => iceberg[index] ?? []),
  };
}

/** Hands over the keys (of a table without one: the hashes) of a file's live rows, in file order, in pieces of some thousands. */
export async function scanKeys(
  table: ReadSchema & { files: WorkingFiles },
  isKeyless: boolean,
  file: WorkingFile,
  visit: (keys: KeyAt[]) => void | Promise<void>,
  only?: PositionSet,
): Promise<void> {
  const columns = isKeyless ? { schema: table.schema, iceberg: table.iceberg } : keyColumns(table);
  const ids = columns.iceberg.map((field) => field.id);
  const encode: (row: Row) => Buffer = isKeyless ? rowHasher(columns.schema, ids) : keyEncoder(columns.schema);
  const keyAt = (row: Row, position: number): KeyAt => ({ key: encode(row), position });
  await table.files.scan(file, columns, keyAt, visit, only);
}
