import pg from 'pg';

export interface TableRows {
  table: string;
  /** Column → value; a column left out takes its default. All rows of a table name the same columns. */
  rows: readonly Readonly<Record<string, unknown>>[];
}

/**
 * Makes and fills a database in one transaction, unless it has `tables[0]` already; an interrupted filling leaves nothing.
 * True if it was filled now. Identity columns go on after the highest id.
 */
export async function fillDatabase(url: string, ddl: string, makeTables: () => readonly TableRows[]): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows: found } = await client.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1");
    if (found.length > 0) return false;
    await client.query('BEGIN');
    await client.query(ddl);
    for (const { table, rows } of makeTables()) await insertRows(client, table, rows);
    await client.query('COMMIT');
    await client.query('ANALYZE');
    return true;
  } finally {
    await client.end();
  }
}

async function insertRows(client: pg.Client, table: string, rows: TableRows['rows']): Promise<void> {
  const name = pg.escapeIdentifier(table);
  const columns = Object.keys(rows[0] ?? {}).map((column) => pg.escapeIdentifier(column));
  const list = columns.join(', ');
  await client.query(`INSERT INTO ${name} (${list}) SELECT ${list} FROM json_populate_recordset(NULL::${name}, $1)`, [
    JSON.stringify(rows),
  ]);
  if (!columns.includes('"id"')) return;
  await client.query(`SELECT setval(pg_get_serial_sequence($1, 'id'), (SELECT max(id) FROM ${name}))`, [table]);
}
