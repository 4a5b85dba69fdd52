import { fork } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { currentBoot, requireRoom } from '#catalog/iceberg/write/index-folder.ts';
import { KeyIndex } from '#catalog/iceberg/write/key-index.ts';
import { mountSmallDisk } from '#test/fixtures/small-disk.ts';

const boot = 'this run of the system';
const place = { location: 'file:///data/1.parquet', position: 7 };

async function withFolder(use: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'key-index-'));
  try {
    await use(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

async function written(folder: string, at: string | null): Promise<KeyIndex> {
  const index = KeyIndex.open(folder, at);
  await index.apply(new Map([['a', place]]), { snapshotId: 1n, shape: 'key' }, []);
  index.markProven();
  return index;
}

async function stateOf(folder: string, at: string | null) {
  const index = KeyIndex.open(folder, at);
  const state = { snapshotId: index.stand?.snapshotId ?? null, place: index.find('a') };
  await index.close();
  return state;
}

const kept = { snapshotId: 1n, place };
const gone = { snapshotId: null, place: null };

test('an index that was closed holds in any later run of the system', async () => {
  await withFolder(async (root) => {
    for (const at of [boot, null]) {
      const folder = join(root, `closed ${at}`);
      await (await written(folder, at)).close();
      expect(await stateOf(folder, 'another run')).toEqual(kept);
      expect(await stateOf(folder, null)).toEqual(kept);
      expect(await stateOf(folder, boot)).toEqual(kept);
    }
  });
});

test('an index that was not closed holds within the run of the system that wrote it, and nowhere else', async () => {
  await withFolder(async (root) => {
    const index = await written(join(root, 'open'), boot);
    // What a process leaves that dies here.
    const left = async (name: string) => {
      await cp(join(root, 'open'), join(root, name), { recursive: true });
      return join(root, name);
    };
    expect(await stateOf(await left('same'), boot)).toEqual(kept);
    expect(await stateOf(await left('another'), 'another run')).toEqual(gone);
    expect(await stateOf(await left('unknown'), null)).toEqual(gone);
    await index.close();
  });
});

test('where runs of the system cannot be told apart, every commit is flushed and holds', async () => {
  await withFolder(async (root) => {
    const index = await written(join(root, 'open'), null);
    await cp(join(root, 'open'), join(root, 'left'), { recursive: true });
    expect(await stateOf(join(root, 'left'), null)).toEqual(kept);
    await index.close();
  });
});

test.runIf(process.platform === 'linux')('Linux tells its runs apart', () => {
  expect(currentBoot()).toMatch(/^[0-9a-f-]{36}$/);
});

const disk = mountSmallDisk(48 << 20);
afterAll(() => disk?.[Symbol.dispose]());

test.skipIf(disk === null)(
  `a full disk stops a commit and keeps the index${disk === null ? ' (needs leave to mount a tmpfs)' : ''}`,
  async () => {
    const { path, fill, free } = disk as NonNullable<typeof disk>;
    const folder = join(path, 'index');
    const index = await written(folder, boot);
    await fill(1 << 20);
    const apply = () => index.apply(new Map([['b', place]]), { snapshotId: 2n, shape: 'key' }, []);
    await expect(apply()).rejects.toMatchObject({ code: 'disk_full', message: expect.stringContaining(folder) });
    await expect(index.write([['b', place]])).rejects.toMatchObject({ code: 'disk_full' });
    expect(index.find('a')).toEqual(place);
    expect(index.find('b')).toBeNull();
    expect(() => KeyIndex.open(folder, boot)).toThrow(expect.objectContaining({ code: 'disk_full' }));
    await free();
    await apply();
    await index.close();
    expect(await stateOf(folder, boot)).toEqual({ snapshotId: 2n, place });
  },
);

test('more entries than the disk has room for are refused before any is written', async () => {
  await withFolder(async (root) => {
    requireRoom(root, 1);
    expect(() => requireRoom(root, 1e15)).toThrow(expect.objectContaining({ code: 'disk_full' }));
  });
});

test('a process killed while it stores a commit leaves all of it or nothing', async () => {
  await withFolder(async (root) => {
    const folder = join(root, 'index');
    const keys = 5_000;
    for (let round = 0; round < 3; round++) {
      const child = fork(join(import.meta.dirname, 'endless-index.ts'), [folder, String(keys)]);
      const died = new Promise((resolve) => child.once('exit', (_code, killed) => resolve(killed)));
      let batches = 0;
      child.on('message', () => {
        batches += 1;
        // The next batch is on its way by now.
        if (batches === 3 + round) child.kill('SIGKILL');
      });
      expect(await died).toBe('SIGKILL');
      const index = KeyIndex.open(folder);
      const batch = Number(index.stand?.snapshotId);
      expect(batch).toBeGreaterThanOrEqual(3 + round);
      const whole = { location: `file:///data/${batch}.parquet`, position: batch };
      for (let key = 0; key < keys; key++) expect(index.find(`key ${key}`)).toEqual(whole);
      await index.close();
    }
  });
}, 120_000);
