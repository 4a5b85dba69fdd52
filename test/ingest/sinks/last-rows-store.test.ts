import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { LastRowsStore } from '#ingest/sinks/last-rows-store.ts';
import { schemaOf } from '#test/catalog/iceberg/warehouse.ts';
import { mountSmallDisk } from '#test/fixtures/small-disk.ts';

const boot = 'this run of the system';
const schema = schemaOf({ id: 'long', title: 'string' }, ['id']);
const key = Buffer.from('a');

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'last-rows-'));
});
afterEach(() => rm(root, { recursive: true }));

const changes = (title: string, number: bigint) => new Map([['a', { row: [1n, title], number }]]);

async function written(folder: string, at: string | null): Promise<LastRowsStore> {
  const store = new LastRowsStore(folder, at);
  await store.put(changes('one', 1n), schema, { upTo: 1n, key: 'id' });
  return store;
}

async function stateOf(folder: string, at: string | null) {
  const store = new LastRowsStore(folder, at);
  const state = { upTo: store.stand?.upTo ?? null, row: store.find(key, schema)?.row ?? null };
  await store.close();
  return state;
}

/** What a process leaves that dies here. */
async function left(name: string): Promise<string> {
  await cp(join(root, 'open'), join(root, name), { recursive: true });
  return join(root, name);
}

const kept = { upTo: 1n, row: [1n, 'one'] };
const gone = { upTo: null, row: null };

test('rows of a store that was closed hold in any later run of the system', async () => {
  for (const at of [boot, null]) {
    const folder = join(root, `closed ${at}`);
    await (await written(folder, at)).close();
    expect(await stateOf(folder, 'another run')).toEqual(kept);
    expect(await stateOf(folder, null)).toEqual(kept);
  }
});

test('rows of a process that died hold within the run of the system that it wrote them in, and nowhere else', async () => {
  const store = await written(join(root, 'open'), boot);
  expect(await stateOf(await left('same'), boot)).toEqual(kept);
  expect(await stateOf(await left('another'), 'another run')).toEqual(gone);
  expect(await stateOf(await left('unknown'), null)).toEqual(gone);
  await store.close();
});

test('where runs of the system cannot be told apart, every commit is flushed and holds', async () => {
  const store = await written(join(root, 'open'), null);
  expect(await stateOf(await left('left'), null)).toEqual(kept);
  await store.close();
});

const disk = mountSmallDisk(48 << 20);
afterAll(() => disk?.[Symbol.dispose]());

test.skipIf(disk === null)(
  `a full disk refuses a commit and keeps the rows${disk === null ? ' (needs leave to mount a tmpfs)' : ''}`,
  async () => {
    const { path, fill, free } = disk as NonNullable<typeof disk>;
    const folder = join(path, 'rows');
    const store = await written(folder, boot);
    await fill(1 << 20);
    const put = () => store.put(changes('two', 2n), schema, { upTo: 2n, key: 'id' });
    await expect(put()).rejects.toMatchObject({ code: 'disk_full', message: expect.stringContaining(folder) });
    expect(store.find(key, schema)?.row).toEqual([1n, 'one']);
    await free();
    await put();
    await store.close();
    expect(await stateOf(folder, boot)).toEqual({ upTo: 2n, row: [1n, 'two'] });
  },
);
