import { createHash } from 'node:crypto';
import type pg from 'pg';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';

/**
 * Adds to tables the enums and composites that their columns are made of, through arrays, domains, ranges and composites, as
 * they are now. To rename a label, or to add an attribute, alters no table: the stream does not tell of it.
 */
export async function withMadeTypes(client: pg.Client, tables: readonly SourceTable[]): Promise<SourceTable[]> {
  const made = tables.filter(({ columns }) => columns.some(({ typeOid }) => typeOid >= firstMadeOid));
  if (made.length === 0) return [...tables];
  const rows = await rowsOf(client, madeTypesQuery, [`{${made.map(({ oid }) => oid).join(',')}}`]);
  const types = new Map<number, Map<number, readonly string[]>>();
  for (const row of rows) {
    const table = Number(row.table_oid);
    const known = types.get(table) ?? new Map<number, readonly string[]>();
    types.set(table, known.set(Number(row.type_oid), JSON.parse(row.parts ?? '[]') as string[]));
  }
  return tables.map((table) => ({ ...table, types: types.get(table.oid) ?? table.types }));
}

/** `@oid=n=hash,…`: of each type, how many parts it had and a hash of them; empty without types. */
export function typesImprint({ types }: SourceTable): string {
  const parts = [...types].sort(([a], [b]) => a - b).map(([oid, all]) => `${oid}=${all.length}=${hash(all)}`);
  return parts.length === 0 ? '' : `@${parts.join(',')}`;
}

/** True if what a type had at this `typesImprint` is another now. Labels that came behind are none. */
export function hasOtherTypes(imprint: string, { types }: SourceTable): boolean {
  return imprint
    .slice(1)
    .split(',')
    .some((part) => {
      const [oid, count, known] = part.split('=');
      const now = types.get(Number(oid));
      return now !== undefined && hash(now.slice(0, Number(count))) !== known;
    });
}

/** The server gives no type of its own one beyond. */
const firstMadeOid = 16_384;

function hash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 6);
}

// Labels are numbered as they are made, wherever they sort. A composite prints all of its attributes, without their names.
const madeTypesQuery = `
WITH RECURSIVE made AS (
  SELECT a.attrelid AS table_oid, a.atttypid AS oid FROM pg_attribute a
   WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= ${firstMadeOid}
  UNION
  SELECT m.table_oid, part.oid FROM made m JOIN pg_type t ON t.oid = m.oid CROSS JOIN LATERAL (
    SELECT t.typelem UNION ALL SELECT t.typbasetype
    UNION ALL SELECT b.atttypid FROM pg_attribute b WHERE b.attrelid = t.typrelid AND b.attnum > 0 AND NOT b.attisdropped
    UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)
  ) AS part (oid) WHERE part.oid >= ${firstMadeOid}
)
SELECT m.table_oid, m.oid AS type_oid, coalesce(
    (SELECT json_agg(e.enumlabel ORDER BY e.oid) FROM pg_enum e WHERE e.enumtypid = t.oid),
    json_build_array((SELECT string_agg(b.attnum::text, ',' ORDER BY b.attnum) FROM pg_attribute b
      WHERE b.attrelid = t.typrelid AND b.attnum > 0 AND NOT b.attisdropped))) AS parts
  FROM made m JOIN pg_type t ON t.oid = m.oid WHERE t.typtype IN ('e', 'c')`;

/** Changes with each enum's labels and each composite's attributes, of all the database. */
export const typesSignature = `concat(
  (SELECT md5(string_agg(concat(e.enumtypid, e.enumlabel), ',' ORDER BY e.oid)) FROM pg_enum e),
  (SELECT md5(string_agg(concat_ws('.', b.attrelid, b.attnum), ',' ORDER BY b.attrelid, b.attnum)) FROM pg_attribute b
    JOIN pg_class k ON k.oid = b.attrelid WHERE k.relkind = 'c' AND b.attnum > 0 AND NOT b.attisdropped))`;
