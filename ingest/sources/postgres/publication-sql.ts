import type pg from 'pg';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import { quoteIdentifier, quoteLiteral, quoteTable } from './sql.ts';

/** Object ids of the publication's own tables. */
export async function publishedTables(client: pg.Client, publication: string): Promise<Set<number>> {
  const rows = await rowsOf(
    client,
    'SELECT r.prrelid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1',
    [publication],
  );
  return new Set(rows.map((row) => Number(row.prrelid)));
}

/** `members`: empty, or ` FOR TABLE …`. `version`: as server_version_num. */
export function createStatement(publication: string, isWhole: boolean, version: number, members = ''): string {
  const options = [
    `publish = '${isWhole ? 'insert, update, delete, truncate' : 'insert, truncate'}'`,
    'publish_via_partition_root = true',
    ...(version >= 180_000 ? ['publish_generated_columns = stored'] : []),
  ];
  return `CREATE PUBLICATION ${quoteIdentifier(publication)}${members} WITH (${options.join(', ')})`;
}

export function setTablesStatement(
  publication: string,
  members: readonly SourceTable[],
  published: ReadonlySet<number>,
): string {
  const name = quoteIdentifier(publication);
  if (members.length > 0) {
    return `ALTER PUBLICATION ${name} SET TABLE ${members.map(publicationMember).join(', ')}`;
  }
  // SET TABLE has no empty form; dropping each member is done in one statement built by the server's own quoting.
  return `DO $drop$ DECLARE list text; BEGIN
    SELECT string_agg(oid::regclass::text, ', ') INTO list FROM pg_class WHERE oid = ANY ('{${[...published].join(',')}}'::oid[]);
    IF list IS NOT NULL THEN EXECUTE 'ALTER PUBLICATION ' || quote_ident(${quoteLiteral(publication)}) || ' DROP TABLE ' || list; END IF;
  END $drop$`;
}

/** With what somebody has limited it to. ONLY keeps tables that inherit from it out; a partitioned table stands for its partitions. */
export function publicationMember(table: SourceTable): string {
  const { filter, columns } = table.published;
  const list = columns === null ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`;
  const where = filter === null ? '' : ` WHERE (${filter})`;
  return `${table.isPartitioned ? '' : 'ONLY '}${quoteTable(table.schemaName, table.tableName)}${list}${where}`;
}
