import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { FieldType, Row, Schema, Value } from '#catalog/schemas/schema.ts';
import { findEngine } from '#test/fixtures/engine.ts';
import { serveCatalog } from './served-catalog.ts';

export interface PyIcebergTable {
  namespaces: string[];
  tables: string[];
  identifiers: string[];
  types: string[];
  rows: unknown[][];
}

/** Reads a table with PyIceberg through our REST catalog. */
export async function readWithPyIceberg(
  catalog: IcebergCatalog,
  name: string,
  filter?: string,
): Promise<PyIcebergTable> {
  await using server = await serveCatalog(catalog);
  const script = join(import.meta.dirname, 'read_table.py');
  const parameters = [script, server.uri, name, ...(filter === undefined ? [] : [filter])];
  const python = findEngine('pyiceberg');
  if (python === null) throw new Error('PyIceberg is not installed: run test/engines/install pyiceberg.');
  const { stdout } = await promisify(execFile)(python, parameters, { maxBuffer: 1 << 28 });
  return JSON.parse(stdout) as PyIcebergTable;
}

/** Our rows as the script prints them. */
export function printedRows(schema: Schema, rows: readonly Row[]): unknown[][] {
  return rows.map((row) => schema.fields.map((field, index) => print(field.type, row[index] as Value)));
}

function print(type: FieldType, value: Value): unknown {
  if (value === null) return null;
  switch (type.kind) {
    case 'struct':
      return type.fields.map((field, index) => print(field.type, (value as readonly Value[])[index] ?? null));
    case 'list':
      return (value as readonly Value[]).map((item) => print(type.element, item));
    case 'map':
      return (value as readonly (readonly Value[])[]).map(([key = null, item = null]) => [
        print(type.key, key),
        print(type.value, item),
      ]);
    case 'float':
    case 'double': {
      if (Number.isNaN(value)) return 'nan';
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleBE(value as number);
      return bytes.toString('hex');
    }
    case 'binary':
    case 'fixed':
      return Buffer.from(value as Uint8Array).toString('hex');
    default:
      return String(value);
  }
}
