import fs from 'node:fs/promises';
import path from 'node:path';

/** What eviction leaves free, so that files that come between two looks still fit. */
const slackPart = 16;

interface Entry {
  path: string;
  sizeBytes: number;
  usedMs: number;
}

/**
 * The cache's folder of whole files, shared by all processes of a home. A process that uses a file holds a hard link to
 * it elsewhere, so that removing it here never takes it from a reader; a file's time of change tells its last use.
 */
export class CachedObjects {
  readonly #folder: string;
  readonly #maxBytes: number;
  /** What has been added here since the folder was last looked through. */
  #addedBytes = Number.POSITIVE_INFINITY;
  /** What is about to be added. */
  #comingBytes = 0;
  /** Evictions come one after the other: each counts on what the one before has left. */
  #evicting: Promise<void> = Promise.resolve();

  constructor(folder: string, maxBytes: number) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  /** Links the file to `target` as just used; false if it is not here. */
  async link(name: string, target: string): Promise<boolean> {
    const own = path.join(this.#folder, name);
    try {
      await linkOrCopy(own, target);
      const now = new Date();
      await fs.utimes(own, now, now);
      return true;
    } catch (thrown) {
      // Evicted before, or just now: then the link is ours all the same.
      if (codeOf(thrown) === 'ENOENT') return await exists(target);
      throw thrown;
    }
  }

  /** Keeps a whole, flushed file here too, if it fits, and makes room for it. */
  async add(name: string, source: string, sizeBytes: number): Promise<void> {
    if (sizeBytes > this.#maxBytes) return;
    this.#comingBytes += sizeBytes;
    try {
      this.#addedBytes += sizeBytes;
      if (this.#addedBytes > this.#maxBytes / (2 * slackPart)) await this.evict();
      await linkOrCopy(source, path.join(this.#folder, name));
    } catch (thrown) {
      if (codeOf(thrown) !== 'EEXIST') throw thrown;
    } finally {
      this.#comingBytes -= sizeBytes;
    }
  }

  async remove(name: string): Promise<void> {
    await fs.rm(path.join(this.#folder, name), { force: true });
  }

  /** Makes room for what is coming, or empties the cache: the files that were not used for longest go. Whoever holds one keeps it. */
  async evict(isWhole = false): Promise<void> {
    const evicted = this.#evicting.then(() => this.#evict(isWhole));
    // Its failure is for who asked; those that wait behind it go on.
    this.#evicting = evicted.catch(() => undefined);
    await evicted;
  }

  async #evict(isWhole: boolean): Promise<void> {
    this.#addedBytes = this.#comingBytes;
    const entries = await this.#entries();
    let total = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
    const aim = isWhole ? 0 : Math.max(0, this.#maxBytes - this.#maxBytes / slackPart - this.#comingBytes);
    for (const entry of entries.sort((a, b) => a.usedMs - b.usedMs)) {
      if (total <= aim) return;
      await fs.rm(entry.path, { force: true });
      total -= entry.sizeBytes;
    }
  }

  async #entries(): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (const name of await fs.readdir(this.#folder)) {
      const own = path.join(this.#folder, name);
      try {
        const { size, mtimeMs } = await fs.stat(own);
        entries.push({ path: own, sizeBytes: size, usedMs: mtimeMs });
      } catch (thrown) {
        // Another process has evicted it.
        if (codeOf(thrown) !== 'ENOENT') throw thrown;
      }
    }
    return entries;
  }
}

/** Some file systems have no hard links: then each process has a copy of what it holds. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await fs.link(from, to);
  } catch (thrown) {
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(String(codeOf(thrown)))) throw thrown;
    const partial = `${to}.copy-${process.pid}`;
    await fs.copyFile(from, partial);
    await fs.rename(partial, to);
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await fs.access(file);
    return true;
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return false;
    throw thrown;
  }
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : null;
}
