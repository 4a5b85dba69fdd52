import { setTimeout as delay } from 'node:timers/promises';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { fromDuckdb } from '#catalog/iceberg/files/duckdb-values.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import type { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { type CanonicalValue, canonicalValue } from '#test/engines/canonical.ts';
import { nameOf, quoted, type RandomTable } from './postgres-tables.ts';
import { printed } from './postgres-types.ts';
import type { PostgresWork } from './postgres-work.ts';

/** What differs between a table of the source and its copy; null where nothing does. */
export interface Difference {
  table: string;
  columns: string[];
  rows: number;
  landed: number;
  missing: string[];
  tooMany: string[];
}

/**
 * Compares by row: each value's exact content, computed at the source by SQL of the tests' own, and for those that stand as text
 * the text, character by character. Columns that nothing follows play no part.
 */
export async function difference(
  work: Pick<PostgresWork, 'query'>,
  catalog: IcebergCatalog,
  target: string,
  table: RandomTable,
): Promise<Difference | null> {
  const columns = table.columns.filter(({ isFollowed }) => isFollowed);
  const rows = await sourceRows(work, table);
  const landed = await landedRows(
    catalog,
    target,
    columns.map(({ name }) => name),
  );
  const few = (list: readonly string[], others: readonly string[]) => {
    const left = new Map<string, number>();
    for (const row of others) left.set(row, (left.get(row) ?? 0) + 1);
    return list
      .filter((row) => {
        const count = left.get(row) ?? 0;
        left.set(row, count - 1);
        return count <= 0;
      })
      .slice(0, 3);
  };
  if (rows.length === landed.length && rows.every((row, index) => row === landed[index])) return null;
  return {
    table: target,
    columns: columns.map(({ name, type }) => `${name} ${type.sql}`),
    ...{ rows: rows.length, landed: landed.length, missing: few(rows, landed), tooMany: few(landed, rows) },
  };
}

/** Waits until nothing differs; only against one that never ends it throws what does. */
export async function whenEqual(
  source: Pick<PostgresWork, 'query'>,
  catalog: IcebergCatalog,
  target: string,
  table: RandomTable,
): Promise<void> {
  const deadline = Date.now() + 240_000;
  for (;;) {
    const found = await difference(source, catalog, target, table);
    if (found === null) return;
    if (Date.now() > deadline) throw new Error(JSON.stringify(found, null, 1));
    await delay(100);
  }
}

export async function sourceRows(work: Pick<PostgresWork, 'query'>, table: RandomTable): Promise<string[]> {
  const columns = table.columns.filter(({ isFollowed }) => isFollowed);
  const cells = columns.map(({ name, type }) => {
    const value = quoted(name);
    const canonical = type.canonical(value);
    return `${canonical}, CASE WHEN (${canonical}) IS NULL THEN ${printed(value)} END`;
  });
  const { rows } = await work.query(`SELECT to_json(ARRAY[${cells.join(', ')}]::text[]) AS row FROM ${nameOf(table)}`);
  return rows
    .map(({ row }) =>
      JSON.stringify(
        columns.map(({ type }, index): CanonicalValue[] => {
          const [value, text] = [row[2 * index] as string | null, row[2 * index + 1] as string | null];
          return [type.isList && value !== null ? JSON.parse(value) : value, text];
        }),
      ),
    )
    .sort();
}

/** Each column with the text that stands beside it. */
async function landedRows(catalog: IcebergCatalog, target: string, columns: readonly string[]): Promise<string[]> {
  const location = await catalog.locate(target);
  if (location === null) return ['there is no such table'];
  const scan = await planScan(location);
  using _held = await holdLocal(scan.locations);
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(scan.sql);
    const { fields } = scan.schema;
    const convert = fields.map((field) => fromDuckdb(field.type));
    const places = columns.map((name) =>
      [name, `${name}__text`].map((each) => fields.findIndex((field) => field.name === each)),
    );
    return reader
      .getRows()
      .map((row) => {
        const cell = (at: number): CanonicalValue => {
          const field = fields[at];
          if (field === undefined) return null;
          return canonicalValue(field.type, convert[at]?.(row[at] ?? null) ?? null);
        };
        return JSON.stringify(places.map((pair) => pair.map(cell)));
      })
      .sort();
  } finally {
    connection.closeSync();
  }
}
