/**
 * Everything that we know tables by, one row each, of the catalogs as they are seen where it runs. `oids` is the SQL of an
 * array of object ids; what is read is `SourceTable` (`tableOfRow` in discovery.ts).
 */
// In Postgres 18 a NOT NULL that is not yet validated sets attnotnull while older rows hold NULL.
export function tableRowsQuery(oids: string): string {
  return `
WITH RECURSIVE tree AS (
  SELECT oid AS root, oid AS member FROM pg_class WHERE oid = ANY (${oids})
  UNION ALL
  SELECT t.root, i.inhrelid FROM tree t JOIN pg_class p ON p.oid = t.member AND p.relkind = 'p' JOIN pg_inherits i ON i.inhparent = t.member
)
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, obj_description(c.oid, 'pg_class') AS comment,
  (SELECT json_agg(json_build_array(a.attname, a.atttypid, a.atttypmod,
      a.attnotnull AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated AND a.attnum = ANY (k.conkey)),
      a.attgenerated, a.attnum, a.atthasmissing OR (c.relkind = 'p' AND a.atthasdef), col_description(c.oid, a.attnum), a.xmin::text) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT json_agg(json_build_object('primary', i.indisprimary, 'identity', i.indisreplident, 'usable', i.indimmediate AND i.indisvalid,
      'columns', (SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE k.place <= i.indnkeyatts)))
    FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)) AS indexes,
  (SELECT string_agg(m.relreplident, '') FROM tree t JOIN pg_class m ON m.oid = t.member WHERE t.root = c.oid AND m.relkind = 'r') AS leaf_identities,
  (SELECT string_agg(m.relfilenode::text, ',' ORDER BY m.oid) FROM tree t JOIN pg_class m ON m.oid = t.member WHERE t.root = c.oid) AS files,
  current_setting('server_version_num')::int >= 180000 AS streams_generated
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (${oids})`;
}
