import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startStudio } from '#ingest/demo/studio.ts';

const root = path.resolve(import.meta.dirname, '../../..');
let home: string;
beforeAll(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-studio-'));
  fs.chmodSync(home, 0o755);
});
afterAll(() => fs.rmSync(home, { recursive: true, force: true }));

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  // Of a server that ends meanwhile the query itself tells.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

test('the studio starts on an empty home, people work, and it ends without a trace of its addresses', async () => {
  const studio = await startStudio({ home, rate: 50, fresh: true, log: () => undefined });
  try {
    const kept = JSON.parse(fs.readFileSync(path.join(home, 'studio.json'), 'utf8'));
    expect(kept).toEqual({
      databases: studio.databases,
      edge: studio.edge,
      sheets: studio.sheets,
      airtable: studio.airtable,
    });
    expect(fs.statSync(path.join(home, 'studio.json')).mode & 0o777).toBe(0o600);
    const counts = await query(
      studio.databases.production,
      'SELECT count(*)::int AS count FROM movie WHERE id <= 3201',
    );
    expect(counts).toEqual([{ count: 3_201 }]);
    expect(await query(studio.databases.deals, "SELECT current_setting('wal_level') AS level")).toEqual([
      { level: 'logical' },
    ]);
    const [role] = await query(
      studio.databases.deals,
      'SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = current_user',
    );
    expect(role).toEqual({ rolsuper: false, rolreplication: true });
    const definition = fs.readFileSync(path.join(root, 'ingest/demo/demo.yaml'), 'utf8');
    const references = [...definition.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => name);
    expect(new Set(references)).toEqual(new Set(Object.keys(studio.env)));
    await query(studio.databases.production, "UPDATE movie SET title = 'Kept' WHERE id = 17");
    await vi.waitUntil(() => studio.people.changes() > 20, { timeout: 120_000 });
  } finally {
    await studio.close();
  }
  expect(fs.existsSync(path.join(home, 'studio.json'))).toBe(false);
  expect(await answers(studio.edge)).toBe(false);
});

test('as a process it finds what it left, and ends with its parent', async () => {
  const child = `import { spawn } from 'node:child_process';
    spawn(process.execPath, ['ingest/demo/main.ts', '--home', ${JSON.stringify(home)}, '--rate', '0'], { stdio: 'inherit' });`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', child], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(parent.stdout.setEncoding('utf8'), 'data');
  const { ready } = JSON.parse(line);
  const rows = await query(ready.databases.production, 'SELECT title FROM movie WHERE id = 17');
  expect(rows).toEqual([{ title: 'Kept' }]);
  expect(await answers(ready.edge)).toBe(true);
  const statement = "UPDATE movie SET title = 'By hand' WHERE id = 17 RETURNING title";
  const env = { ...process.env, DAILIES_HOME: home };
  const sql = spawn(process.execPath, ['ingest/demo/sql.ts', 'production', statement], {
    cwd: root,
    env,
    stdio: 'pipe',
  });
  let printed = '';
  sql.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  expect(await once(sql, 'close')).toEqual([0, null]);
  expect(printed).toMatch(/By hand[\s\S]*UPDATE 1/);
  parent.kill('SIGKILL');
  await vi.waitUntil(async () => !(await answers(ready.edge)), { timeout: 120_000, interval: 200 });
  await vi.waitUntil(
    () =>
      query(ready.databases.production, 'SELECT 1').then(
        () => false,
        (error) => error.code === 'ECONNREFUSED',
      ),
    { timeout: 120_000, interval: 200 },
  );
});
