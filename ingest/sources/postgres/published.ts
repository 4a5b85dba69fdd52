import type pg from 'pg';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import type { ServerNames } from './names.ts';

/** What our publications carry of a table, where somebody has limited that (Postgres 15 and later). */
export interface Published {
  /** The row filter as the server prints it, in the table's own column names; null: all rows. */
  filter: string | null;
  /** The column list; null: all columns that a stream carries. */
  columns: readonly string[] | null;
}

/**
 * Adds to tables what our publications carry of them now. The server applies a row filter and a column list to the stream
 * by itself; a snapshot has to follow them. A list that does not cover the replica identity makes an application's UPDATE
 * fail, so that such a table belongs into the publication of inserts.
 */
export async function withPublished(
  client: pg.Client,
  tables: readonly SourceTable[],
  names: ServerNames,
): Promise<SourceTable[]> {
  if (tables.length === 0) return [];
  const ours = [names.publication, names.insertsPublication];
  const oids = `{${tables.map(({ oid }) => oid).join(',')}}`;
  // The view below opens each table of a publication, and would wait for whoever alters one.
  if ((await rowsOf(client, limitedQuery, [oids, ours])).length === 0) return [...tables];
  const rows = await rowsOf(client, publishedQuery, [oids, ours]);
  const limits = new Map(
    rows.map((row) => [
      Number(row.oid),
      { filter: row.filter ?? null, columns: row.columns ? (JSON.parse(row.columns) as string[]) : null },
    ]),
  );
  return tables.map((table) => limitedTo(table, limits.get(table.oid) ?? table.published));
}

function limitedTo(table: SourceTable, published: Published): SourceTable {
  const { columns: listed } = published;
  const isIdentityListed =
    listed === null ||
    (table.identity !== 'full' && table.key.every((name) => listed.includes(name))) ||
    table.columns.every(({ name }) => listed.includes(name));
  return {
    ...table,
    published,
    identity: isIdentityListed ? table.identity : 'none',
    key: isIdentityListed || table.key.every((name) => listed.includes(name)) ? table.key : [],
  };
}

const limitedQuery = `
SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
 WHERE p.pubname = ANY ($2::text[]) AND r.prrelid = ANY ($1::oid[])
   AND (to_jsonb(r) ->> 'prqual' IS NOT NULL OR to_jsonb(r) ->> 'prattrs' IS NOT NULL) LIMIT 1`;

// The view prints the filter; which columns were listed only the catalog tells. Before Postgres 15 there is neither.
const publishedQuery = `
SELECT c.oid, min(to_jsonb(t) ->> 'rowfilter') AS filter,
  (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum = ANY (translate(min(to_jsonb(r) ->> 'prattrs'), '[]', '{}')::int2[])) AS columns
FROM pg_publication_tables t
  JOIN pg_namespace n ON n.nspname = t.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
  JOIN pg_publication p ON p.pubname = t.pubname JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
WHERE t.pubname = ANY ($2::text[]) AND c.oid = ANY ($1::oid[])
GROUP BY c.oid HAVING min(to_jsonb(t) ->> 'rowfilter') IS NOT NULL OR min(to_jsonb(r) ->> 'prattrs') IS NOT NULL`;
