import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Batch } from '#ingest/event.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';

let path: string;
let log: EmbeddedLog;
let now = 1_800_000_000_000;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'dailies-log-'));
  log = open();
});
afterEach(async () => {
  await log.close();
  await rm(path, { recursive: true, force: true });
});

function open(retention = {}): EmbeddedLog {
  return new EmbeddedLog({ path, retention, now: () => new Date(now) });
}

function batch(id: number, options: Partial<Batch> & { table?: string; text?: string } = {}): Batch {
  const { table = 's.public.t', text = 'x', ...rest } = options;
  return {
    items: [
      {
        kind: 'changes',
        changes: {
          table,
          schema: {
            fields: [
              { name: 'id', type: { kind: 'int' }, required: true },
              { name: 'text', type: { kind: 'string' }, required: false },
            ],
            key: ['id'],
          },
          events: [{ op: 'c', before: null, after: [id, text], tx: 0 }],
          transactions: [{ id: String(id), position: `0/${id}`, timeMicros: 1n }],
        },
      },
    ],
    position: `0/${id}`,
    timeMicros: BigInt(id),
    isComplete: true,
    ...rest,
  };
}

async function take(from: EmbeddedLog, offset: number, count: number) {
  const stop = new AbortController();
  const records = [];
  for await (const record of from.read('s', offset, stop.signal)) {
    records.push(record);
    if (records.length === count) break;
  }
  return records;
}

const idsOf = (records: { batch(): Batch }[]) =>
  records.map((record) => {
    const item = record.batch().items[0];
    return item?.kind === 'changes' ? item.changes.events[0]?.after?.[0] : null;
  });

test('offsets are without gaps in the order of the calls, and survive a restart', async () => {
  const offsets = await Promise.all([0, 2, 4].map((id) => log.append('s', [batch(id), batch(id + 1)])));
  expect(offsets).toEqual([
    [0, 1],
    [2, 3],
    [4, 5],
  ]);
  await log.commitGroups('s', new Map([['movies', 3]]));
  await log.close();
  log = open();
  expect(await log.extent('s')).toMatchObject({ first: 0, next: 6 });
  expect(await log.last('s')).toEqual({ offset: 5, position: '0/5', timeMicros: 5n });
  expect(await log.groups('s')).toEqual(new Map([['movies', 3]]));
  expect(idsOf(await take(log, 2, 4))).toEqual([2, 3, 4, 5]);
});

test('several readers are woken by an append and read what is durable, each from its own place', async () => {
  await log.append('s', [batch(0)]);
  const early = take(log, 0, 3);
  const late = take(log, 1, 2);
  await log.append('s', [batch(1)]);
  expect(log.pendingBytes('s')).toBe(0);
  const appending = log.append('s', [batch(2)]);
  expect(log.pendingBytes('s')).toBeGreaterThan(0);
  await appending;
  expect(idsOf(await early)).toEqual([0, 1, 2]);
  expect(idsOf(await late)).toEqual([1, 2]);
});

test('a reader leaves out the items of other tables', async () => {
  const mixed = batch(1, { table: 's.public.a' });
  mixed.items.push(...batch(2, { table: 's.public.b' }).items);
  await log.append('s', [mixed]);
  const [record] = await take(log, 0, 1);
  expect(record?.tables).toEqual(['s.public.a', 's.public.b']);
  expect(record?.batch(new Set(['s.public.b'])).items).toEqual(mixed.items.slice(1));
});

test('retention keeps what is young or needed; beyond the hard cap the oldest go and their reader is told', async () => {
  const hour = 3600_000;
  await log.append('s', [batch(0), batch(1)]);
  now += 2 * hour;
  await log.append('s', [batch(2), batch(3)]);
  await log.commitGroups('s', new Map([['slow', 1]]));
  await log.close();

  log = open({ maxAgeMs: hour });
  await log.trim('s');
  expect(await log.extent('s')).toMatchObject({ first: 1, next: 4 });
  await log.commitGroups('s', new Map([['slow', 4]]));
  await log.trim('s');
  expect(await log.extent('s')).toMatchObject({ first: 2, next: 4 });
  await log.close();

  log = open({ maxBytes: 1 });
  const held = (await log.extent('s')).bytes;
  await log.trim('s');
  expect(await log.extent('s')).toMatchObject({ first: 3, next: 4, bytes: held / 2 });
  await log.commitGroups('s', new Map([['slow', 3]]));
  await log.append('s', [batch(4, { text: 'y'.repeat(5000) })]);
  await log.close();

  log = open({ hardCapBytes: 4000 });
  await log.trim('s');
  expect(await log.extent('s')).toMatchObject({ first: 4, next: 5 });
  await expect(take(log, 3, 1)).rejects.toMatchObject({ code: 'not_found' });
});

test('a part that a dead run left open is emptied, and readers that took some of it are told', async () => {
  await log.append('s', [batch(0), batch(1, { isComplete: false }), batch(2, { isComplete: false })]);
  await log.close();
  log = open();
  await log.discardOpen('s');
  await log.discardOpen('s');
  await log.append('s', [batch(1)]);
  const records = await take(log, 0, 5);
  expect(records.map((record) => record.batch().items.length)).toEqual([1, 0, 0, 0, 1]);
  expect(records.map((record) => record.isRestart)).toEqual([false, false, false, true, false]);
  expect(records.every((record) => record.isComplete)).toBe(true);
});

test('the newest snapshot of a table is known as long as it is held', async () => {
  const schema = { fields: [], key: [] };
  const begin = (generation: number): Batch => ({
    ...batch(generation, { isComplete: false }),
    items: [{ kind: 'snapshot-begin', table: 's.public.t', schema, generation, isChunked: false }],
  });
  const end = (generation: number): Batch => ({
    ...batch(generation),
    items: [{ kind: 'snapshot-end', table: 's.public.t', generation, rows: 0 }],
  });
  expect(await log.snapshotOf('s', 's.public.t')).toBeNull();
  await log.append('s', [batch(0), begin(1)]);
  expect(await log.snapshotOf('s', 's.public.t')).toEqual({ offset: 1, generation: 1, isFinished: false });
  await log.append('s', [batch(0, { isComplete: false }), end(1), begin(2)]);
  expect(await log.snapshotOf('s', 's.public.t')).toEqual({ offset: 4, generation: 2, isFinished: false });
  await log.discardOpen('s');
  expect(await log.snapshotOf('s', 's.public.t')).toEqual({ offset: 1, generation: 1, isFinished: true });
  await log.append('s', [begin(3), end(3)]);
  expect(await log.snapshotOf('s', 's.public.t')).toMatchObject({ generation: 3, isFinished: true });
  await log.append('s', [batch(9)]);
  await log.close();
  log = open({ maxBytes: 1 });
  await log.trim('s');
  expect(await log.snapshotOf('s', 's.public.t')).toBeNull();
});

test('a removed topic is gone from disk; a name may hold any character', async () => {
  await log.append('../a b', [batch(0)]);
  expect(log.topics()).toEqual(['../a b']);
  await log.removeTopic('../a b');
  expect(log.topics()).toEqual([]);
});

test('what an append resolved is there, in order, after kill -9; another process reads along', async () => {
  for (let round = 0; round < 3; round++) {
    const expected = (await log.extent('s')).next;
    const child = appender(path);
    const ended = once(child, 'close');
    const reader = new EmbeddedLog({ path, isReader: true });
    const following = take(reader, expected, 20);
    let resolved = -1;
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      resolved = Number(line);
      if (resolved >= expected + 200) {
        child.kill('SIGKILL');
        break;
      }
    }
    await ended;
    expect((await following).map((record) => record.offset)).toEqual(
      Array.from({ length: 20 }, (_, i) => expected + i),
    );
    await reader.close();
    await log.close();
    log = open();
    const { next } = await log.extent('s');
    expect(next).toBeGreaterThan(resolved);
    expect(idsOf(await take(log, 0, next))).toEqual(Array.from({ length: next }, (_, i) => i));
  }
});

function appender(logPath: string): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, 'append-until-killed.ts'), logPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
