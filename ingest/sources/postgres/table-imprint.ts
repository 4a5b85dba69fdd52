import { createHash } from 'node:crypto';
import type { SourceTable } from './discovery.ts';

/**
 * What a table's columns and storage looked like, short enough to be kept: `files;attnum:name:type;…` with hashes of files
 * and names. Postgres never gives a column's attnum to another.
 */
export function imprintOf(table: SourceTable): string {
  const columns = table.columns.map(
    (column) => `${column.attnum}:${hash(column.name)}:${column.typeOid}.${column.typmod}`,
  );
  return [hash(table.files), ...columns].join(';');
}

/**
 * True if rows that were read before `imprint` was taken, and not changed since, read differently now: a column with a
 * default was added, one was renamed, or a type was changed with a rewrite. Truncations and VACUUM FULL alone are none.
 */
export function isReadingOutdated(imprint: string, table: SourceTable): boolean {
  const [files, ...columns] = imprint.split(';');
  const before = new Map(
    columns.map((column) => column.split(':')).map(([attnum, name, type]) => [attnum, { name, type }]),
  );
  const isRewritten = files !== hash(table.files);
  return table.columns.some((column) => {
    const old = before.get(String(column.attnum));
    if (old === undefined) return column.hasMissing || isRewritten;
    if (old.name !== hash(column.name)) return true;
    return isRewritten && old.type !== `${column.typeOid}.${column.typmod}`;
  });
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 6);
}
