import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { Requirement } from '../../source.ts';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import type { ServerNames } from './names.ts';
import { createStatement, publicationMember, publishedTables } from './publication-sql.ts';
import { isStandby } from './server-head.ts';
import { quoteIdentifier } from './sql.ts';

/*
 * A standby (Postgres 16 and later) gives the same stream as its primary, and nothing can be written there: the publications
 * are made on the primary by whoever may, the slot is made here, the memory of tables is kept with us, and no message is
 * ever needed to move the stream on, for it is told up to what the standby has replayed.
 */

/** Throws `source_not_ready` with what to run on the primary, unless the publications carry these tables as they should. */
export async function requirePublished(
  client: pg.Client,
  names: ServerNames,
  tables: readonly SourceTable[],
): Promise<void> {
  const statements = await publicationStatements(client, names, tables);
  if (statements.length === 0) return;
  const statement = statements.join(' ');
  throw new DailiesError(
    'source_not_ready',
    `This server is a standby, so its publications are made on the primary server, and not all of these tables are in them as they should be. Run there: ${statement}`,
    { details: { statement } },
  );
}

/** What a standby lacks for a source of these names; null: of one that has no name yet. Empty of a primary. */
export async function checkStandby(
  client: pg.Client,
  names: ServerNames | null,
  tables: readonly SourceTable[],
): Promise<Requirement[]> {
  if (!(await isStandby(client))) return [];
  const wanted = names ?? {
    slot: 'dailies_NAME',
    publication: 'dailies_NAME',
    insertsPublication: 'dailies_NAME_inserts',
  };
  const statements = await publicationStatements(client, wanted, tables);
  if (statements.length === 0) return [];
  const name =
    names === null ? ' For a source NAME, of the tables that it is to follow, run on the primary server.' : '';
  return [
    {
      problem: `This server is a standby, so its publications are made on the primary server.${name}`,
      statement: statements.join(' '),
    },
  ];
}

/** What is to run on the primary so that the publications carry these tables; empty if they do. */
async function publicationStatements(
  client: pg.Client,
  names: ServerNames,
  tables: readonly SourceTable[],
): Promise<string[]> {
  const [server] = await rowsOf(client, 'SHOW server_version_num');
  const version = Number(server?.server_version_num);
  const statements: string[] = [];
  for (const publication of [names.publication, names.insertsPublication]) {
    const isWhole = publication === names.publication;
    const members = tables.filter((table) => (table.identity !== 'none') === isWhole);
    const others = tables.filter((table) => !members.includes(table));
    const [found] = await rowsOf(client, 'SELECT pubviaroot FROM pg_publication WHERE pubname = $1', [publication]);
    const name = quoteIdentifier(publication);
    if (!found) {
      const list = members.length === 0 ? '' : ` FOR TABLE ${members.map(publicationMember).join(', ')}`;
      statements.push(`${createStatement(publication, isWhole, version, list)};`);
      continue;
    }
    const published = await publishedTables(client, publication);
    const missing = members.filter(({ oid }) => !published.has(oid));
    const wrong = others.filter(({ oid }) => published.has(oid));
    const plain = (table: SourceTable) => publicationMember({ ...table, published: { filter: null, columns: null } });
    if (wrong.length > 0) statements.push(`ALTER PUBLICATION ${name} DROP TABLE ${wrong.map(plain).join(', ')};`);
    if (missing.length > 0) {
      statements.push(`ALTER PUBLICATION ${name} ADD TABLE ${missing.map(publicationMember).join(', ')};`);
    }
    if (found.pubviaroot !== 't' && members.some(({ isPartitioned }) => isPartitioned)) {
      statements.push(`ALTER PUBLICATION ${name} SET (publish_via_partition_root = true);`);
    }
  }
  return statements;
}
