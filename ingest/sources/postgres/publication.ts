import type pg from 'pg';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import type { ServerNames } from './names.ts';
import { RowMemory } from './row-memory.ts';
import { quoteIdentifier, quoteLiteral, quoteTable } from './sql.ts';
import { imprintOf, isReadingOutdated } from './table-imprint.ts';

/**
 * Keeps our two publications at exactly these tables, never more. Both are made before the slot, since decoding looks
 * them up as they were at each change. Answers the memory kept in the comment; it owes a snapshot, whose position is
 * after this, to each table whose changes were not, or not all, published until now, and to each that was altered so that
 * its old rows read differently; those that `isAsked` names get theirs anyway.
 */
export async function publishTables(
  client: pg.Client,
  names: ServerNames,
  tables: readonly SourceTable[],
  isAsked: (table: string) => boolean,
): Promise<RowMemory> {
  const wanted = {
    [names.publication]: tables.filter((table) => table.identity !== 'none'),
    [names.insertsPublication]: tables.filter((table) => table.identity === 'none'),
  };
  const newlyPublished = new Set<string>();
  let memory = new RowMemory(null);
  await rowsOf(client, 'BEGIN');
  try {
    const version = Number((await rowsOf(client, 'SHOW server_version_num'))[0]?.server_version_num);
    for (const [publication, members] of Object.entries(wanted)) {
      const isWhole = publication === names.publication;
      const found = await rowsOf(
        client,
        `SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1`,
        [publication],
      );
      if (isWhole) memory = new RowMemory(found[0]?.comment ?? null);
      const published = await publishedTables(client, publication);
      for (const table of members) if (!published.has(table.oid)) newlyPublished.add(table.name);
      if (found.length === 0) await rowsOf(client, createStatement(publication, isWhole, version));
      if (published.size === members.length && members.every((table) => published.has(table.oid))) continue;
      await rowsOf(client, setTablesStatement(publication, members, published));
    }
    for (const table of tables) {
      const imprint = memory.imprint(table.name);
      const isOutdated = newlyPublished.has(table.name) || (imprint !== null && isReadingOutdated(imprint, table));
      if (isOutdated && !isAsked(table.name)) memory.owe(table.name);
      memory.setImprint(table.name, imprintOf(table));
    }
    memory.keepImprints(new Set(tables.map((table) => table.name)));
    await saveMemory(client, names, memory);
    await rowsOf(client, 'COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
  return memory;
}

/** Writes the memory if it holds something new. Durable when resolved. */
export async function saveMemory(client: pg.Client, names: ServerNames, memory: RowMemory): Promise<void> {
  if (memory.isSaved) return;
  const { version } = memory;
  const comment = quoteLiteral(memory.toComment());
  await rowsOf(client, `COMMENT ON PUBLICATION ${quoteIdentifier(names.publication)} IS ${comment}`);
  memory.markSaved(version);
}

/** The memory as it stands, for a reader that changes nothing. */
export async function readMemory(client: pg.Client, names: ServerNames): Promise<RowMemory> {
  const rows = await rowsOf(
    client,
    `SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1`,
    [names.publication],
  );
  return new RowMemory(rows[0]?.comment ?? null);
}

export async function dropPublications(client: pg.Client, names: ServerNames): Promise<void> {
  for (const name of [names.publication, names.insertsPublication]) {
    await rowsOf(client, `DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`);
  }
}

async function publishedTables(client: pg.Client, publication: string): Promise<Set<number>> {
  const rows = await rowsOf(
    client,
    'SELECT r.prrelid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1',
    [publication],
  );
  return new Set(rows.map((row) => Number(row.prrelid)));
}

function createStatement(publication: string, isWhole: boolean, version: number): string {
  const options = [
    `publish = '${isWhole ? 'insert, update, delete, truncate' : 'insert, truncate'}'`,
    'publish_via_partition_root = true',
    ...(version >= 180_000 ? ['publish_generated_columns = stored'] : []),
  ];
  return `CREATE PUBLICATION ${quoteIdentifier(publication)} WITH (${options.join(', ')})`;
}

function setTablesStatement(
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
function publicationMember(table: SourceTable): string {
  const { filter, columns } = table.published;
  const list = columns === null ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`;
  const where = filter === null ? '' : ` WHERE (${filter})`;
  return `${table.isPartitioned ? '' : 'ONLY '}${quoteTable(table.schemaName, table.tableName)}${list}${where}`;
}
