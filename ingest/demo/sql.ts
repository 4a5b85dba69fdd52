import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { readEnvironment } from '#catalog/environment.ts';
import { type StudioDocument, studioDocumentPath } from './studio-document.ts';

/**
 * Runs one statement in a database of the sample studio that works in DAILIES_HOME, as its services do:
 * `node ingest/demo/sql.ts production "UPDATE movie SET status = 'post' WHERE id = 17"`. Prints the rows as a table.
 */
async function main([name = '', statement]: string[]): Promise<void> {
  const { home } = readEnvironment(process.env);
  const text = await readFile(studioDocumentPath(home), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new Error(`No sample studio works in ${home}: start it with npm run demo.`);
  });
  const databases: Record<string, string> = { ...(JSON.parse(text) as StudioDocument).databases };
  const url = databases[name];
  if (url === undefined || statement === undefined)
    throw new Error(`usage: node ingest/demo/sql.ts ${Object.keys(databases).join('|')} "SQL"`);
  const client = new pg.Client({ connectionString: url, types: { getTypeParser: () => (value: unknown) => value } });
  await client.connect();
  try {
    const { command, rowCount, rows } = await client.query(statement);
    if (rows.length > 0) console.table(rows);
    console.log(`${command} ${rowCount ?? ''}`.trim());
  } finally {
    await client.end();
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
