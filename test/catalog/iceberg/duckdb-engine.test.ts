import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';

test('what does not fit into memory goes into the scratch folder, not where the process was started', async () => {
  const connection = await connectDuckdb();
  try {
    // Larger than the limit, and of no order: it has to be sorted on disk.
    const spilled: string[] = [];
    const isDone = connection
      .run(
        'CREATE TEMP TABLE sorted AS SELECT hash(i) AS h, md5(i::VARCHAR) AS text FROM range(12000000) AS rows(i) ORDER BY h',
      )
      .then(() => true);
    const [[folder]] = (await connection.runAndReadAll("SELECT current_setting('temp_directory')")).getRows() as [
      [string],
    ];
    expect(await isDone).toBe(true);
    if (existsSync(folder)) spilled.push(...readdirSync(folder));
    expect(spilled.length).toBeGreaterThan(0);
    expect(existsSync('.tmp')).toBe(false);
  } finally {
    await connection.run('DROP TABLE IF EXISTS sorted');
    connection.closeSync();
  }
});
