import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { CommandLine, type StatusDocument, until } from './demo-product.ts';

const definition = `
version: 1
sources:
  film:
    kind: postgres
    url: \${FILM_URL}
    tables: [public.*]
pipelines:
  credits:
    from: [film.public.credit]
    steps: [{ kind: filter, where: "role <> 'draft'" }]
    to: [{ kind: iceberg, table: film.credit }]
  notes:
    from: [film.public.note]
    to: [{ kind: iceberg, table: film.note }]
`;
const key = JSON.stringify([`O'Neil "the, second"`, 7]);

type WithReplay = StatusDocument & {
  pipelines: Record<string, { replay?: { state: string; events: number; error: unknown; key: string | null } }>;
};

describe('dailies replay', () => {
  let product: CommandLine;
  let database: TestDatabase;

  beforeAll(async () => {
    product = await CommandLine.create();
    database = await createDatabase();
    await database.query(`
      CREATE TABLE credit (person text, film int, role text, PRIMARY KEY (person, film));
      CREATE TABLE note (what text);
      INSERT INTO note VALUES ('once'), ('once');
      INSERT INTO credit SELECT 'person ' || i % 40, i, 'role ' || i FROM generate_series(1, 2000) i`);
    await product.serve('up');
    const file = path.join(path.dirname(product.home), 'definition.yaml');
    fs.writeFileSync(file, definition);
    const applied = await product.runWith({ FILM_URL: database.url }, 'apply', file);
    expect(applied.code, applied.stderr).toBe(0);
    await isEqual();
    await database.query(`
      INSERT INTO credit VALUES ('O''Neil "the, second"', 7, 'gaffer');
      UPDATE credit SET role = 'draft' WHERE film % 10 = 0;
      DELETE FROM credit WHERE film % 15 = 0;
      UPDATE credit SET role = 'grip' WHERE film % 20 = 0;
      UPDATE credit SET film = film + 10000 WHERE film % 7 = 1`);
    await isEqual();
  }, 300_000);

  afterAll(async () => {
    await product[Symbol.asyncDispose]();
    await database.drop();
  });

  const status = () => product.json<WithReplay>('status', '--json');
  const ended = async (name = 'credits') =>
    (await until(status, ({ pipelines }) => ['done', 'failed'].includes(pipelines[name]?.replay?.state ?? '')))
      .pipelines[name]?.replay;

  /** Row by row what the source has. */
  async function isEqual(): Promise<void> {
    const text = `concat_ws('|', person, film, role)`;
    const { rows } = await database.query(
      `SELECT row FROM (SELECT ${text} FROM credit WHERE role <> 'draft') AS credits(row) ORDER BY row COLLATE "C"`,
    );
    const wanted = rows.map(({ row }) => row);
    await until(
      async () => {
        const { code, stdout } = await product.run(
          'query',
          `SELECT ${text} AS row FROM film.credit ORDER BY 1`,
          '--format',
          'json',
        );
        return code === 0 ? JSON.stringify((JSON.parse(stdout) as { row: string }[]).map(({ row }) => row)) : '';
      },
      (landed) => landed === JSON.stringify(wanted),
    );
  }

  test('applies one key again, or what came since an instant, and leaves the table as its source is', async () => {
    const one = await product.run('replay', 'credits', '--key', key);
    expect(one).toMatchObject({ code: 0, stdout: expect.stringContaining('are applied again') });
    expect(await ended()).toMatchObject({ state: 'done', events: 1, key });
    const oldest = /since (\S+) are/.exec(one.stdout)?.[1] ?? '';
    const since = await product.run('replay', 'credits', '--from', oldest);
    expect(since.code, since.stderr).toBe(0);
    await until(status, ({ pipelines }) => (pipelines.credits?.replay?.events ?? 0) > 1);
    await isEqual();
    expect((await product.run('status')).stdout).toMatch(
      /pipeline credits: [\d,]+ changes since \S+ were applied again/,
    );
  });

  test('killed right after it was asked for, it is done by the next start', async () => {
    expect((await product.run('replay', 'credits')).code).toBe(0);
    await product.stop('SIGKILL');
    await database.query(`UPDATE credit SET role = 'later' WHERE film < 100; DELETE FROM credit WHERE film = 101`);
    await product.serve('up');
    expect(await ended()).toMatchObject({ state: 'done', error: null });
    await isEqual();
    const notes = await product.run('replay', 'notes');
    expect(notes.code, notes.stderr).toBe(0);
    await ended('notes');
    expect(await product.json('query', 'SELECT what FROM film.note', '--format', 'json')).toEqual([
      { what: 'once' },
      { what: 'once' },
    ]);
  });

  test('what cannot be replayed is told', async () => {
    const tooEarly = await product.run('replay', 'credits', '--from', '2020-01-01T00:00:00Z');
    expect(tooEarly).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/since \d{4}-\d\d-\d\dT\S+Z and none from before/),
    });
    expect((await product.run('replay', 'credits', '--from', 'yesterday')).code).toBe(2);
    expect((await product.run('replay', 'credit')).stderr).toContain('credits');
    const half = await product.run('replay', 'credits', '--key', '7');
    expect(half).toMatchObject({ code: 1, stderr: expect.stringContaining('person, film') });
    const keyless = await product.run('replay', 'notes', '--key', 'once');
    expect(keyless).toMatchObject({ code: 1, stderr: expect.stringContaining('has no key') });
    expect((await product.run('replay', '--help')).stdout).toContain('--from');
  });
});
