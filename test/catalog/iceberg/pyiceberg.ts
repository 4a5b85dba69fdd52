import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IcebergCatalog } from '#catalog/iceberg/catalog.ts';
import { icebergRest } from '#catalog/iceberg/rest.ts';
import type { FieldType, Row, Schema, Value } from '#catalog/schemas/schema.ts';
import { findEngine } from '#test/fixtures/engine.ts';

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

async function serveCatalog(catalog: IcebergCatalog): Promise<AsyncDisposable & { uri: string }> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', async () => {
      const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD';
      const request = new Request(`http://localhost${incoming.url}`, {
        method: incoming.method ?? 'GET',
        ...(hasBody ? { body: Buffer.concat(chunks) } : {}),
      });
      const response = await icebergRest(request, { catalog, mayRead: () => true });
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      outgoing.end(Buffer.from(await response.arrayBuffer()));
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/iceberg`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
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
    case 'float':
    case 'double': {
      if (Number.isNaN(value)) return 'nan';
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleBE(value as number);
      return bytes.toString('hex');
    }
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex');
    default:
      return String(value);
  }
}
