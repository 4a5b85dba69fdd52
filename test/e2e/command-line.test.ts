import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { CommandLine, type StatusDocument, until } from './demo-product.ts';

const table = '"Film’s ""list"""';
const whole = `
version: 1
sources:
  film:
    kind: postgres
    url: \${FILM_URL}
    tables: [public.*]
pipelines:
  films:
    owner: owner@studio.example
    from: [film.public.*]
    to: [{ kind: iceberg, table: 'film.{table}' }]
people:
  owner@studio.example: { roles: [owner] }
policies: []
`;

describe('dailies up and its commands', () => {
  let product: CommandLine;
  let database: TestDatabase;

  beforeAll(async () => {
    product = await CommandLine.create();
    database = await createDatabase();
    await database.query(`CREATE TABLE ${table} (id bigint PRIMARY KEY, title text)`);
    await database.query(`INSERT INTO ${table} SELECT i, 'Film ' || i FROM generate_series(1, 500) i`);
    await product.serve('up');
  }, 300_000);

  afterAll(async () => {
    await product[Symbol.asyncDispose]();
    await database.drop();
  });

  const write = (name: string, text: string) => {
    const file = path.join(path.dirname(product.home), name);
    fs.writeFileSync(file, text);
    return file;
  };
  const status = () => product.json<StatusDocument>('status', '--json');
  const landed = (rows: number) =>
    until(status, ({ sinks }) => Object.values(sinks).some((sink) => sink.rows === rows && sink.lag.bytes === 0));
  const count = async () => {
    const [row] = await product.json<{ n: string | number }[]>(
      'query',
      `SELECT count(*) AS n FROM film."Film’s ""list"""`,
      '--format',
      'json',
    );
    return Number(row?.n);
  };

  test('the first start prints a link that makes the admin', async () => {
    const output = await until(
      async () => product.output,
      (text) => text.includes('/welcome'),
    );
    const link = /(http:\S+\/welcome\?token=\S+)/.exec(output)?.[1] ?? '';
    expect((await fetch(link)).status).toBe(200);
  });

  test('a second up on the same home, and a taken port, are refused by name', async () => {
    const second = await product.run('up');
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(product.home);

    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as net.AddressInfo;
    await using other = await CommandLine.create(port);
    const taken = await other.run('up');
    server.close();
    expect(taken.code).toBe(1);
    expect(taken.stderr).toContain(`Port ${port}`);
  });

  test('what is wrong with a definition is named with its file, line and nearest name, and nothing is applied', async () => {
    const typo = write('typo.yaml', whole.replace('tables:', 'tabels:'));
    const { code, stderr } = await product.runWith({ FILM_URL: database.url }, 'apply', typo);
    expect(code).toBe(1);
    expect(stderr).toMatch(/typo\.yaml:7/);
    expect(stderr).toContain('tables');
    const missing = await product.run('apply', write('missing.yaml', whole));
    expect(missing.stderr).toContain('FILM_URL');
    const policies = write(
      'policies.yaml',
      `${whole.replace('policies: []', '')}policies: [{ table: film.x, role: staff, rows: "a = 1" }]\n`,
    );
    const refused = await product.runWith({ FILM_URL: database.url }, 'apply', policies);
    expect(refused.stderr).toContain('policies');
    expect((await status()).sources).toEqual({});
  });

  test('a definition is shown, applied, changes nothing the second time, and comes back by export', async () => {
    const file = write('whole.yaml', whole);
    const env = { FILM_URL: database.url };
    const dry = await product.runWith(env, 'apply', '--dry-run', file);
    expect(dry.stdout).toContain('+ source film');
    expect((await status()).sources).toEqual({});
    expect((await product.runWith(env, 'apply', file)).code).toBe(0);
    expect((await product.runWith(env, 'apply', file)).stdout).toContain('nothing changes');
    const exported = await product.run('export');
    expect(exported.stdout).toContain('{secret:FILM_URL}');
    expect(exported.stdout).not.toContain(database.url);
    expect((await product.run('apply', write('again.yaml', exported.stdout))).stdout).toContain('nothing changes');
    await landed(500);
    expect(await count()).toBe(500);
  });

  test('a paused pipeline keeps its backlog and lands it when resumed', async () => {
    expect((await product.run('pause', 'films')).code).toBe(0);
    await until(status, ({ pipelines }) => pipelines.films?.state === 'paused');
    await database.query(`INSERT INTO ${table} VALUES (501, NULL), (502, '')`);
    expect((await product.run('resume', 'films')).code).toBe(0);
    await landed(502);
    expect(
      await product.json(
        'query',
        `SELECT title FROM film."Film’s ""list""" WHERE id > 500 ORDER BY id`,
        '--format',
        'json',
      ),
    ).toEqual([{ title: null }, { title: '' }]);
  });

  test('kill -9 of up ends all its processes, and the next start goes on', async () => {
    const children = descendants(product.pid);
    // web, worker, the state database's keeper and its server at least.
    expect(children.length).toBeGreaterThan(4);
    await product.stop('SIGKILL');
    await until(
      async () => children.filter(isAlive),
      (alive) => alive.length === 0,
    );
    await database.query(`DELETE FROM ${table} WHERE id <= 2`);
    await product.serve('up');
    await landed(500);
    expect(await count()).toBe(500);
  });

  test('what is asked for wrongly is told, with exit code 1, or 2 where the words are wrong', async () => {
    const unknown = await product.run('query', 'SELECT * FROM film.films');
    expect(unknown).toMatchObject({ code: 1, stdout: '' });
    expect(unknown.stderr).toContain('film.films');
    expect((await product.run('pause', 'film')).stderr).toContain('films');
    expect((await product.run('qeury')).code).toBe(2);
    const check = await product.run('check', database.url.replace(/:[^:@/]+@/, ':wrong@'));
    expect(check.code).toBe(1);
    expect(check.stderr).not.toContain('wrong@');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** All processes below one, at any depth. */
function descendants(pid: number): number[] {
  const table = fs.existsSync('/proc/self/stat')
    ? fs
        .readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map((name) => [Number(name), parentOf(name)] as const)
    : execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/\s+/).map(Number))
        .map(([own = 0, parent = 0]) => [own, parent] as const);
  const below = (parent: number): number[] =>
    table.filter(([, of]) => of === parent).flatMap(([own]) => [own, ...below(own)]);
  return below(pid);
}

/** 0 for a process that has ended meanwhile. */
function parentOf(pid: string): number {
  try {
    return Number(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1]);
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return 0;
    throw error;
  }
}
