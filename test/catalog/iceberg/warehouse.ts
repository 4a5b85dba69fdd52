import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { fromDuckdb } from '#catalog/iceberg/files/duckdb-values.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import type { ScanTime } from '#catalog/iceberg/read/time-travel.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { TableCatalog } from '#catalog/iceberg/tables/table-catalog.ts';
import type { Field, FieldType, Row, Schema } from '#catalog/schemas/schema.ts';
import type { State } from '#catalog/state/state.ts';
import { createState } from '#test/fixtures/postgres.ts';

export interface TestWarehouse extends AsyncDisposable {
  state: State;
  catalog: IcebergCatalog;
  root: string;
  indexDir: string;
  /** All rows of a table through a planned scan, in no order. */
  read(name: string, at?: ScanTime): Promise<Row[]>;
}

/** An empty warehouse with its catalog in a fresh state database: on disk, or at a location that is open. */
export async function createWarehouse(location?: string): Promise<TestWarehouse> {
  const root = await mkdtemp(join(tmpdir(), 'warehouse-'));
  const { state, drop } = await createState();
  const catalog = new IcebergCatalog(state, location ?? join(root, 'warehouse'));
  return {
    state,
    catalog,
    root,
    indexDir: join(root, 'index'),
    read: (name, at) => readTable(catalog, name, at),
    [Symbol.asyncDispose]: async () => {
      await drop();
      await rm(root, { recursive: true, force: true });
    },
  };
}

export async function readTable(catalog: Pick<TableCatalog, 'locate'>, name: string, at?: ScanTime): Promise<Row[]> {
  const location = await catalog.locate(name);
  if (location === null) throw new Error(`no table ${name}`);
  const scan = await planScan(location, at);
  using _held = await holdLocal(scan.locations);
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(scan.sql);
    const convert = scan.schema.fields.map((field) => fromDuckdb(field.type));
    return reader.getRows().map((row) => row.map((value, index) => convert[index]?.(value) ?? null));
  } finally {
    connection.closeSync();
  }
}

/** A schema in short: names with their types; the key's columns are required. */
export function schemaOf(fields: Record<string, FieldType | FieldType['kind']>, key: string[] = []): Schema {
  return {
    key,
    fields: Object.entries(fields).map(
      ([name, type]): Field => ({
        name,
        required: key.includes(name),
        type: typeof type === 'string' ? ({ kind: type } as FieldType) : type,
      }),
    ),
  };
}

/** Rows in an order of their own, so that two sets of rows can be compared. */
export function sorted(rows: readonly Row[]): string[] {
  return rows.map((row) => printRow(row)).sort();
}

function printRow(row: Row): string {
  return JSON.stringify(row, (_key, value) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) {
      return Object.is(value, -0) ? '-0' : String(value);
    }
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    if (value && typeof value === 'object' && value.type === 'Buffer') return Buffer.from(value.data).toString('hex');
    return value;
  });
}
