import type pg from 'pg';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import type { Kept } from './kept.ts';
import type { ServerNames } from './names.ts';
import { createStatement, publishedTables, setTablesStatement } from './publication-sql.ts';
import { RowMemory } from './row-memory.ts';
import { isStandby } from './server-head.ts';
import { quoteIdentifier, quoteLiteral } from './sql.ts';
import { requirePublished } from './standby.ts';
import { imprintOf } from './table-imprint.ts';

/**
 * Keeps our two publications at exactly these tables, never more. Both are made before the slot, since decoding looks
 * them up as they were at each change. Answers the memory kept in the comment; it owes a snapshot, whose position is
 * after this, to each table whose changes were not, or not all, published until now, and to each that was altered so that
 * its old rows read differently, unless the stream tells of that (`told`: the triggers that do, and whether all begins anew);
 * those that `isAsked` names get theirs anyway. On a standby it throws `source_not_ready` unless they are so already.
 */
export async function publishTables(
  client: pg.Client,
  names: ServerNames,
  tables: readonly SourceTable[],
  isAsked: (table: string) => boolean,
  told: Told,
  kept: Kept,
): Promise<RowMemory> {
  if (await isStandby(client)) {
    await requirePublished(client, names, tables);
    const memory = await readMemory(client, names, kept);
    noteTables(memory, tables, new Set(), isAsked, told);
    await saveMemory(client, names, memory);
    return memory;
  }
  const wanted = {
    [names.publication]: tables.filter((table) => table.identity !== 'none'),
    [names.insertsPublication]: tables.filter((table) => table.identity === 'none'),
  };
  const newlyPublished = new Set<string>();
  const memory = await readMemory(client, names, kept);
  await rowsOf(client, 'BEGIN');
  try {
    const version = Number((await rowsOf(client, 'SHOW server_version_num'))[0]?.server_version_num);
    for (const [publication, members] of Object.entries(wanted)) {
      const isWhole = publication === names.publication;
      const found = await rowsOf(client, 'SELECT FROM pg_publication WHERE pubname = $1', [publication]);
      const published = await publishedTables(client, publication);
      for (const table of members) if (!published.has(table.oid)) newlyPublished.add(table.name);
      if (found.length === 0) await rowsOf(client, createStatement(publication, isWhole, version));
      if (published.size === members.length && members.every((table) => published.has(table.oid))) continue;
      await rowsOf(client, setTablesStatement(publication, members, published));
    }
    noteTables(memory, tables, newlyPublished, isAsked, told);
    await saveMemory(client, names, memory);
    await rowsOf(client, 'COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
  await memory.leaveUs();
  return memory;
}

interface Told {
  trigger: string | null;
  isAnew: boolean;
}

/** Owes what is to be read again, and remembers what the tables look like. */
function noteTables(
  memory: RowMemory,
  tables: readonly SourceTable[],
  newlyPublished: ReadonlySet<string>,
  isAsked: (table: string) => boolean,
  told: Told,
): void {
  if (told.isAnew) memory.shapes.relyOn(null);
  memory.shapes.relyOn(told.trigger);
  for (const table of tables) {
    if (newlyPublished.has(table.name)) memory.shapes.forget(table.name);
    const isOutdated = newlyPublished.has(table.name) || memory.isOutdated(table);
    if (isOutdated && !isAsked(table.name)) memory.owe(table.name);
    // Else what it was like stays: the stream may have shapes that came between and are gone again.
    if (isOutdated || memory.imprint(table.name) === null) memory.setImprint(table.name, imprintOf(table));
  }
  memory.keepTables(new Set(tables.map((table) => table.name)));
}

/** Writes the memory if it holds something new: on a standby with us. Durable when resolved. */
export async function saveMemory(client: pg.Client, names: ServerNames, memory: RowMemory): Promise<void> {
  if (memory.isSaved) return;
  const { version } = memory;
  const text = memory.toComment();
  const onStandby = await isStandby(client);
  if (!onStandby) {
    await rowsOf(client, `COMMENT ON PUBLICATION ${quoteIdentifier(names.publication)} IS ${quoteLiteral(text)}`);
  }
  if (onStandby || memory.isWithUs) await memory.keepWithUs(text);
  memory.markSaved(version);
}

/** The memory as it stands: what is kept with us, since the server is or was a standby, else what the database has. */
export async function readMemory(client: pg.Client, names: ServerNames, kept: Kept): Promise<RowMemory> {
  const { tables } = await kept.read();
  if (tables !== null) return new RowMemory(tables, kept, true);
  const rows = await rowsOf(
    client,
    `SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1`,
    [names.publication],
  );
  return new RowMemory(rows[0]?.comment ?? null, kept);
}

/** On a standby they were not made by us, and stay. */
export async function dropPublications(client: pg.Client, names: ServerNames): Promise<void> {
  if (await isStandby(client)) return;
  for (const name of [names.publication, names.insertsPublication]) {
    await rowsOf(client, `DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`);
  }
}
