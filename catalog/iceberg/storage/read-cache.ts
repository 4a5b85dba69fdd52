import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { DailiesError } from '../../error.ts';
import { CachedObjects } from './cached-objects.ts';
import { inParallel } from './in-parallel.ts';
import { makeProcessFolder } from './process-folder.ts';
import type { LocalFiles } from './storage.ts';

export interface ReadCacheOptions {
  /** Absolute path, made if missing; several processes may share it. */
  folder: string;
  /** Most that is kept; files that are held and were evicted meanwhile come on top until they are let go. */
  maxBytes: number;
  /** Brings a whole file to a path that does not exist yet, flushed to disk; resolves with its size. */
  fetch(location: string, path: string): Promise<number>;
}

interface Held {
  users: number;
  ready: Promise<void>;
}

const fetchesAtOnce = 16;

/**
 * Copies of files that never change, on this machine's disk.
 *
 *   folder/objects/<hash>               whole files, the least recently used evicted; they outlive the processes
 *   folder/processes/<process>/<hash>   a hard link to each file that this process holds: nobody can take it away
 *   folder/processes/<process>/<uuid>   files that are being fetched or written
 */
export class ReadCache {
  readonly #fetch: ReadCacheOptions['fetch'];
  readonly #objects: CachedObjects;
  readonly #own: string;
  readonly #held = new Map<string, Held>();

  constructor({ folder, maxBytes, fetch }: ReadCacheOptions) {
    this.#fetch = fetch;
    const objects = path.join(folder, 'objects');
    mkdirSync(objects, { recursive: true });
    this.#objects = new CachedObjects(objects, maxBytes);
    this.#own = makeProcessFolder(path.join(folder, 'processes'));
  }

  /** Where the file is while it is held. */
  pathOf(location: string): string {
    return path.join(this.#own, nameOf(location));
  }

  /** Brings files here where they are not, and holds them at `pathOf` until disposed. Throws what `fetch` throws, `disk_full`. */
  async hold(locations: readonly string[]): Promise<LocalFiles> {
    const wanted = [...new Set(locations)];
    const held: string[] = [];
    try {
      await inParallel(wanted, fetchesAtOnce, async (location) => {
        await this.#take(location);
        held.push(location);
      });
    } catch (thrown) {
      this.#letGo(held);
      throw thrown;
    }
    let isHeld = true;
    return {
      paths: locations.map((location) => this.pathOf(location)),
      [Symbol.dispose]: () => {
        if (isHeld) this.#letGo(held);
        isHeld = false;
      },
    };
  }

  /** A path for a file that is to be written locally. */
  newPath(location: string): string {
    return path.join(this.#own, `${randomUUID()}${path.extname(location)}`);
  }

  /** Takes over a file at a path of `newPath`, whole and flushed, as the copy of what is at the location. */
  async adopt(location: string, file: string): Promise<void> {
    const { size } = await fs.stat(file);
    await this.#objects.add(nameOf(location), file, size);
    await fs.rm(file, { force: true });
  }

  /** Forgets the copies of deleted files; those that are held stay until they are let go. */
  async forget(locations: readonly string[]): Promise<void> {
    for (const location of locations) await this.#objects.remove(nameOf(location));
  }

  /** Removes this process's folder; nothing may be held any more. */
  close(): void {
    rmSync(this.#own, { recursive: true, force: true });
  }

  async #take(location: string): Promise<void> {
    const known = this.#held.get(location);
    const held = known ?? { users: 0, ready: this.#bring(location) };
    held.users++;
    this.#held.set(location, held);
    try {
      await held.ready;
    } catch (thrown) {
      if (this.#held.get(location) === held) this.#held.delete(location);
      throw thrown;
    }
  }

  #letGo(locations: readonly string[]): void {
    for (const location of locations) {
      const held = this.#held.get(location);
      if (held === undefined || --held.users > 0) continue;
      this.#held.delete(location);
      rmSync(this.pathOf(location), { force: true });
    }
  }

  async #bring(location: string): Promise<void> {
    const name = nameOf(location);
    const target = this.pathOf(location);
    if (await this.#objects.link(name, target)) return;
    const partial = this.newPath(location);
    try {
      const sizeBytes = await this.#fetchInto(location, partial);
      await fs.rename(partial, target);
      await this.#objects.add(name, target, sizeBytes);
    } finally {
      await fs.rm(partial, { force: true });
    }
  }

  /** A full disk may be full of what we keep for later. */
  async #fetchInto(location: string, file: string): Promise<number> {
    try {
      return await this.#fetch(location, file);
    } catch (thrown) {
      if (!(thrown instanceof DailiesError) || thrown.code !== 'disk_full') throw thrown;
    }
    await this.#objects.evict(true);
    await fs.rm(file, { force: true });
    return await this.#fetch(location, file);
  }
}

/** A name for any location that is the same in every process; its ending kept for who goes by it. */
function nameOf(location: string): string {
  const hash = createHash('sha256').update(location).digest('hex').slice(0, 40);
  return `${hash}${path.extname(location)}`;
}
