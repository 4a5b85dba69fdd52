import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DailiesError } from '#catalog/error.ts';
import { ReadCache } from '#catalog/iceberg/storage/read-cache.ts';
import type { ChildRequest } from './cache-process.ts';

const fileBytes = 1_000;

describe('the read cache', () => {
  let folder: string;
  let fetched: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dailies-cache-'));
    fetched = [];
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  function openCache(maxFiles: number, fetch = fetchFile): ReadCache {
    return new ReadCache({ folder, maxBytes: maxFiles * fileBytes, fetch });
  }

  async function fetchFile(location: string, path: string): Promise<number> {
    fetched.push(location);
    await writeFile(path, location.padEnd(fileBytes, '.'), { flag: 'wx' });
    return fileBytes;
  }

  async function keptBytes(): Promise<number> {
    const names = await readdir(join(folder, 'objects'));
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, 'objects', name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  const at = (index: number) => `s3://studio/t/${index}.parquet`;

  test('fetches a file once for all who ask at once, and again only when it is gone', async () => {
    const cache = openCache(10);
    const all = await Promise.all([cache.hold([at(1), at(2)]), cache.hold([at(2), at(1)]), cache.hold([at(1)])]);
    expect(fetched.sort()).toEqual([at(1), at(2)]);
    expect(all[1].paths).toEqual([cache.pathOf(at(2)), cache.pathOf(at(1))]);
    expect(readFileSync(cache.pathOf(at(1)), 'utf8')).toMatch(/^s3:\/\/studio\/t\/1/);
    all[0][Symbol.dispose]();
    all[1][Symbol.dispose]();
    expect(existsSync(cache.pathOf(at(1)))).toBe(true);
    expect(existsSync(cache.pathOf(at(2)))).toBe(false);
    all[2][Symbol.dispose]();
    all[2][Symbol.dispose]();
    expect(existsSync(cache.pathOf(at(1)))).toBe(false);
    using _again = await cache.hold([at(1), at(2)]);
    expect(fetched).toHaveLength(2);
  });

  test('survives a restart', async () => {
    const before = openCache(10);
    (await before.hold([at(1)]))[Symbol.dispose]();
    before.close();
    const after = openCache(10);
    using held = await after.hold([at(1)]);
    expect(fetched).toEqual([at(1)]);
    expect(statSync(held.paths[0] ?? '').size).toBe(fileBytes);
  });

  test('stays within its size: what was not used for longest goes first', async () => {
    const cache = openCache(32);
    for (let index = 0; index < 200; index++) {
      (await cache.hold([at(index)]))[Symbol.dispose]();
      // Times of use must differ for the order to be told, however fast the machine is.
      await settle(cache, index, 200);
      if (index > 20) (await cache.hold([at(0)]))[Symbol.dispose]();
      expect(await keptBytes()).toBeLessThanOrEqual(32 * fileBytes);
    }
    expect(fetched.filter((location) => location === at(0))).toHaveLength(1);
    (await cache.hold([at(199)]))[Symbol.dispose]();
    expect(fetched.at(-1)).toBe(at(199));
    expect(fetched).toHaveLength(200);
    (await cache.hold([at(100)]))[Symbol.dispose]();
    expect(fetched).toHaveLength(201);
  });

  /** Dates the file's last use as if a second passed between the files. */
  async function settle(cache: ReadCache, index: number, count: number): Promise<void> {
    const name = cache.pathOf(at(index)).split('/').at(-1) ?? '';
    const time = new Date(Date.now() - (count - index) * 1_000);
    await utimes(join(folder, 'objects', name), time, time);
  }

  test('takes no file from who holds it, whatever comes', async () => {
    const cache = openCache(4);
    using held = await cache.hold([at(0), at(1), at(2), at(3), at(4), at(5)]);
    for (let index = 6; index < 30; index++) (await cache.hold([at(index)]))[Symbol.dispose]();
    for (const path of held.paths) expect(statSync(path).size).toBe(fileBytes);
    held[Symbol.dispose]();
    (await cache.hold([at(30)]))[Symbol.dispose]();
    (await cache.hold([at(31)]))[Symbol.dispose]();
    expect(await keptBytes()).toBeLessThanOrEqual(4 * fileBytes);
  });

  test('hands out files that are larger than itself, without keeping them', async () => {
    const cache = openCache(0.5);
    {
      using held = await cache.hold([at(1)]);
      expect(statSync(held.paths[0] ?? '').size).toBe(fileBytes);
    }
    expect(await keptBytes()).toBe(0);
  });

  test('forgets a fetch that failed, and lets go what else was held for the same statement', async () => {
    let isDown = true;
    const cache = openCache(10, async (location, path) => {
      if (isDown && location === at(2)) throw new DailiesError('storage_unreachable', 'No answer.');
      return await fetchFile(location, path);
    });
    await expect(cache.hold([at(1), at(2)])).rejects.toMatchObject({ code: 'storage_unreachable' });
    expect(existsSync(cache.pathOf(at(1)))).toBe(false);
    isDown = false;
    using held = await cache.hold([at(1), at(2)]);
    expect(held.paths.every((path) => existsSync(path))).toBe(true);
  });

  test('gives up what it keeps before it says that the disk is full', async () => {
    let room = 3;
    const cache = openCache(100, async (location, path) => {
      const names = await readdir(join(folder, 'objects'));
      if (names.length >= room) throw new DailiesError('disk_full', 'The disk is full.');
      return await fetchFile(location, path);
    });
    for (let index = 0; index < 10; index++) (await cache.hold([at(index)]))[Symbol.dispose]();
    expect(new Set(fetched)).toHaveProperty('size', 10);
    room = 0;
    await expect(cache.hold([at(11)])).rejects.toMatchObject({ code: 'disk_full' });
  });

  test('keeps what is written here under the place where it is stored', async () => {
    const cache = openCache(10);
    const path = cache.newPath(at(1));
    await writeFile(path, 'x'.repeat(fileBytes));
    await cache.adopt(at(1), path);
    expect(existsSync(path)).toBe(false);
    using held = await cache.hold([at(1)]);
    expect(fetched).toEqual([]);
    expect(readFileSync(held.paths[0] ?? '', 'utf8')).toBe('x'.repeat(fileBytes));
    await cache.forget([at(1)]);
    expect(existsSync(held.paths[0] ?? '')).toBe(true);
    held[Symbol.dispose]();
    using _again = await cache.hold([at(1)]);
    expect(fetched).toEqual([at(1)]);
  });

  test('is shared by processes that hold, evict and die; what a dead one held is let go by the next', async () => {
    const children = await Promise.all([startChild(1), startChild(2), startChild(3)]);
    // Each holds files at random and reads them while the others evict; a file that is not there fails the child.
    await Promise.all(children.map((child) => ask(child, { kind: 'work', rounds: 250 })));
    const [first, second, third] = children;
    // None knows what the others are about to add: the size is what whoever comes next keeps to.
    await ask(first as ChildProcess, { kind: 'work', rounds: 25 });
    expect(await keptBytes()).toBeLessThanOrEqual(100 * fileBytes);
    await ask(first as ChildProcess, { kind: 'hold', index: 500 });
    const ended = children.map((child) => once(child, 'exit'));
    for (const child of [first, second, third]) child?.kill('SIGKILL');
    await Promise.all(ended);
    expect((await readdir(join(folder, 'processes'))).length).toBe(3);
    openCache(20);
    expect((await readdir(join(folder, 'processes'))).length).toBe(1);
  });

  async function startChild(seed: number): Promise<ChildProcess> {
    const child = fork(join(import.meta.dirname, 'cache-process.ts'), [folder, String(100 * fileBytes), String(seed)]);
    await once(child, 'message');
    return child;
  }

  async function ask(child: ChildProcess, request: ChildRequest): Promise<void> {
    const answered = Promise.race([once(child, 'message'), once(child, 'exit')]);
    child.send(request);
    expect((await answered)[0]).toBe('done');
  }
});
