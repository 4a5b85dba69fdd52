import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Random } from '#test/engines/matrix/random.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { startCuttingProxy } from './cutting-proxy.ts';
import { CommandLine, type StatusDocument, until } from './demo-product.ts';

const definition = `
version: 1
sources:
  playback:
    kind: producer
    tables:
      session: { key: [id], fields: { zone: text, id: bigint, at: timestamptz, "fee's": 'decimal(12, 2)' } }
      view: { key: [id] }
      note: {}
      java: { key: [id], fields: { id: bigint, title: text } }
      late: { key: [id], fields: { id: bigint } }
pipelines:
  playback:
    owner: owner@studio.example
    from: ['playback.*']
    to: [{ kind: iceberg, table: 'playback.{table}' }]
people:
  owner@studio.example: { roles: [owner] }
policies: []
`;

/** A program that adds notes, one after the other, and goes on where its journal stands. */
const program = `
import { Producer } from '@dailies/producer';
const [, , url, token, journal, total] = process.argv;
const producer = await Producer.open({ url, token, source: 'playback', journal, lingerMs: 1, onRefused: ({ error }) => { throw error; } });
console.log('opened ' + producer.accepted);
for (let i = producer.accepted; i < Number(total); i = producer.accepted) {
  const events = [{ op: 'c', after: { text: 'note ' + i } }];
  if (i % 10 === 0) await producer.send('note', events);
  else await Promise.all([producer.send('note', events)]);
  if (i % 50 === 0) console.log('accepted ' + i);
}
await producer.flush();
await producer.close();
console.log('done');
`;

let product: CommandLine;
let token: string;
let folder: string;

beforeAll(async () => {
  product = await CommandLine.create();
  folder = path.dirname(product.home);
  await product.serve('up');
  const file = path.join(folder, 'playback.yaml');
  fs.writeFileSync(file, definition);
  expect(await product.run('apply', file)).toMatchObject({ code: 0 });
  const made = await product.json<{ token: string }>(
    'token',
    'create',
    '--name',
    'importer',
    '--role',
    'owner',
    '--json',
  );
  token = made.token;
}, 300_000);

afterAll(() => product[Symbol.asyncDispose]());

const headers = (more: Record<string, string> = {}) => ({ authorization: `Bearer ${token}`, ...more });

/** Sends a request, again while the source is still starting. */
async function post(table: string, events: unknown, more: Record<string, string> = {}) {
  for (;;) {
    const answer = await fetch(`${product.url}/api/v1/sources/playback/${table}/events`, {
      method: 'POST',
      headers: headers(more),
      body: typeof events === 'string' ? events : JSON.stringify(events),
    });
    if (answer.status !== 502) return { status: answer.status, headers: answer.headers, body: await answer.json() };
    await answer.body?.cancel();
  }
}

const status = () => product.json<StatusDocument>('status', '--json');
/** Of a pipeline that has just been made there are no sinks yet. */
const landed = () =>
  until(status, ({ sinks }) => {
    const all = Object.values(sinks);
    return all.length > 0 && all.every((sink) => sink.lag.bytes === 0);
  });
const rows = <T>(sql: string) => product.json<T[]>('query', sql, '--format', 'json');

test('a request is taken once, whatever is repeated, across kill -9', async () => {
  const numbered = (sequence: number) => ({ 'producer-id': 'importer', 'producer-sequence': String(sequence) });
  const event = (id: number) => [{ op: 'c', key: id, after: { id, zone: 'Europe/Berlin', "fee's": '12.30' } }];
  const first = await post('session', event(1), numbered(7));
  expect(first).toMatchObject({ status: 202, body: { events: 1 } });
  const [again, both] = await Promise.all([
    post('session', event(1), numbered(7)),
    post('session', event(2), numbered(8)),
  ]);
  expect(again).toMatchObject({ status: 202, body: first.body });
  expect(again.headers.get('producer-repeat')).toBe('true');
  await product.stop('SIGKILL');
  await product.serve('up');
  expect(await post('session', event(2), numbered(8))).toMatchObject({ status: 202, body: both.body });
  const gap = await post('session', event(4), numbered(10));
  expect(gap).toMatchObject({ status: 409, body: { code: 'conflict', details: { expected: '9' } } });
  expect(await post('session', event(3), numbered(9))).toMatchObject({ status: 202 });
  await landed();
  expect(await rows('SELECT * FROM playback.session ORDER BY id')).toEqual(
    [1, 2, 3].map((id) => ({ zone: 'Europe/Berlin', id: String(id), at: null, "fee's": '12.30' })),
  );
});

test('columns stand as they were declared; a table that no event came for is there and empty', async () => {
  const { stdout } = await product.run('query', 'SELECT * FROM playback.session LIMIT 0', '--format', 'csv');
  expect(stdout.trim()).toBe("zone,id,at,fee's");
  expect(await rows('SELECT count(*) AS n FROM playback.late')).toEqual([{ n: '0' }]);
});

test('nothing is taken of a request with a fault, and each fault is named', async () => {
  const answer = await post('session', '{"op":"c","after":{"id":90}}\n{"op":"c","after":{"id":"x"}}');
  expect(answer).toMatchObject({
    status: 422,
    body: { code: 'invalid', details: { problems: [{ index: 1, field: 'after.id' }] } },
  });
  expect(await post('nothing', [{ op: 't' }])).toMatchObject({ status: 404, body: { code: 'table_unknown' } });
  expect(await post('session', 'hello')).toMatchObject({ status: 422 });
  expect(await post('session', [])).toMatchObject({ status: 422 });
  const half = await post('session', [{ op: 't' }], { 'producer-id': 'importer' });
  expect(half).toMatchObject({ status: 422, body: { detail: expect.stringContaining('belong together') } });
  const staff = await product.json<{ token: string }>(
    'token',
    'create',
    '--name',
    'reader',
    '--role',
    'staff',
    '--json',
  );
  const refused = await post('session', [{ op: 't' }], { authorization: `Bearer ${staff.token}` });
  expect(refused.status).toBe(403);
  expect(await rows('SELECT count(*) AS n FROM playback.session')).toEqual([{ n: '3' }]);
});

test('fields that nobody declared join as they come, and stay over a restart', async () => {
  expect((await post('view', [{ op: 'c', after: { id: 1, title: 'A "quote"' } }])).status).toBe(202);
  await product.stop('SIGKILL');
  await product.serve('up');
  expect((await post('view', [{ op: 'u', after: { id: 1, title: 'B', where: { city: 'Berlin' } } }])).status).toBe(202);
  expect(await post('view', [{ op: 'c', after: { id: 2, title: 5 } }])).toMatchObject({ status: 422 });
  expect(
    (
      await post('view', [
        { op: 'c', key: 3, after: { id: 3 } },
        { op: 'd', key: 3 },
      ])
    ).status,
  ).toBe(202);
  await landed();
  expect(await rows('SELECT * FROM playback.view')).toEqual([{ id: '1', title: 'B', where: { city: 'Berlin' } }]);
});

test('the package, installed from this repository, delivers each event once while everything dies', async () => {
  const total = 1500;
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`producer deaths seed ${seed}`);
  const random = new Random(seed);
  const client = path.join(folder, 'client');
  fs.mkdirSync(client);
  const run = promisify(execFile);
  const source = path.resolve(import.meta.dirname, '../../ingest/producer/typescript');
  await run('npm', ['pack', source, '--pack-destination', client]);
  fs.writeFileSync(path.join(client, 'package.json'), '{"type": "module", "private": true}');
  const [archive = ''] = fs.readdirSync(client).filter((name) => name.endsWith('.tgz'));
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${archive}`], { cwd: client });
  expect(fs.readdirSync(path.join(client, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
    '@dailies',
  ]);
  fs.writeFileSync(path.join(client, 'program.js'), program);
  await using proxy = await startCuttingProxy(Number(new URL(product.url).port), cutting(random));
  const start = () =>
    spawn(process.execPath, ['program.js', proxy.url, token, path.join(client, 'journal'), String(total)], {
      cwd: client,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  let isDone = false;
  for (let round = 0; !isDone; round++) {
    const child = start();
    const lines = 1 + random.below(6);
    isDone = await untilLine(child, round < 6 ? lines : Number.POSITIVE_INFINITY);
    if (round === 2) {
      await product.stop('SIGKILL');
      await product.serve('up');
    }
  }
  expect(proxy.cuts).toBeGreaterThan(0);
  await landed();
  const [counted] = await rows(
    'SELECT count(*) AS n, count(DISTINCT text) AS d, min(text) AS least FROM playback.note',
  );
  expect(counted).toEqual({ n: String(total), d: String(total), least: 'note 0' });
});

describeWith('maven', 'the client for Java', (maven) => {
  test('passes its own tests over connections that are cut, each event once', async () => {
    const random = new Random(7);
    await using proxy = await startCuttingProxy(Number(new URL(product.url).port), cutting(random));
    const pom = path.resolve(import.meta.dirname, '../../ingest/producer/java/pom.xml');
    const settings = { 'dailies.url': proxy.url, 'dailies.token': token, 'dailies.source': 'playback' };
    const target = `-DbuildDirectory=${path.join(folder, 'java')}`;
    const properties = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
    await promisify(execFile)(maven, ['--quiet', '--batch-mode', '--file', pom, target, ...properties, 'test']);
    expect(proxy.cuts).toBeGreaterThan(0);
    await landed();
    const ids = [...Array(1000).keys(), 5000, 5001, 7000];
    expect(await rows('SELECT id, title FROM playback.java ORDER BY id')).toEqual(
      ids.map((id) => ({ id: String(id), title: `Title "${id}" é` })),
    );
  });
});

/** By chance, and the third answer in any case: how many there are depends on how fast they come. */
function cutting(random: Random): () => boolean {
  let answers = 0;
  return () => random.chance(0.1) || ++answers === 3;
}

/** Kills the program after so many lines; true if it was done before. */
async function untilLine(child: ChildProcess, lines: number): Promise<boolean> {
  const ended = once(child, 'exit');
  let seen = 0;
  let isDone = false;
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    seen += 1;
    if (line === 'done') isDone = true;
    else if (seen >= lines) child.kill('SIGKILL');
  }
  await ended;
  return isDone;
}
