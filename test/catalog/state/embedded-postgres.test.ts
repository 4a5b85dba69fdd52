import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';

test('a number that an earlier life left is no reason to end another server', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-postgres-'));
  fs.chmodSync(folder, 0o755);
  const one = await startEmbeddedPostgres({ dir: path.join(folder, 'one'), isThrowaway: true });
  try {
    const pidFile = fs.readFileSync(path.join(folder, 'one', 'postmaster.pid'));
    fs.mkdirSync(path.join(folder, 'two'));
    fs.writeFileSync(path.join(folder, 'two', 'postmaster.pid'), pidFile);
    const two = await startEmbeddedPostgres({ dir: path.join(folder, 'two'), isThrowaway: true });
    await two.close();
    const client = new pg.Client({ connectionString: one.url('postgres') });
    await client.connect();
    expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }]);
    await client.end();
  } finally {
    await one.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
});
