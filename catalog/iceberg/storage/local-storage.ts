import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DailiesError } from '../../error.ts';
import { diskError, filePath, syncPath } from './location.ts';
import type { Storage, StoredFile } from './storage.ts';

/** Files on this machine's disk, durable when flushed with their folders. */
export const localStorage: Storage = {
  async readBytes(location) {
    return await orGone(location, readFile(filePath(location)));
  },

  async readRange(location, offset, length) {
    const handle = await orGone(location, open(filePath(location), 'r'));
    try {
      // What a foreign table says of its files may be anything.
      const { size } = await handle.stat();
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - offset)));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, offset);
      return bytes.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  },

  async writeBytes(location, bytes) {
    const path = filePath(location);
    const handle = await open(path, 'wx').catch((thrown: unknown) => {
      throw diskError(thrown, path);
    });
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } catch (thrown) {
      throw diskError(thrown, path);
    } finally {
      await handle.close();
    }
  },

  newFile(location) {
    const path = filePath(location);
    return {
      path,
      async finish() {
        try {
          await syncPath(path);
        } catch (thrown) {
          throw diskError(thrown, path);
        }
      },
      abandon: () => rm(path, { force: true }),
    };
  },

  localPath: filePath,

  async holdLocal(locations) {
    return { paths: locations.map(filePath), [Symbol.dispose]: () => {} };
  },

  async removeFiles(locations) {
    await Promise.all(locations.map((location) => rm(filePath(location), { force: true })));
  },

  listFiles,

  async makeTableFolders(location) {
    const folder = filePath(location);
    try {
      await mkdir(`${folder}/metadata`, { recursive: true });
      await mkdir(`${folder}/data`, { recursive: true });
      await syncPath(folder);
      await syncPath(dirname(folder));
      await syncPath(dirname(dirname(folder)));
    } catch (thrown) {
      throw diskError(thrown, folder);
    }
  },

  async syncTableFolders(location) {
    const folder = filePath(location);
    await Promise.all([syncPath(`${folder}/metadata`), syncPath(`${folder}/data`)]);
  },

  async removeUnfinished() {
    return 0;
  },
};

async function* listFiles(prefix: string): AsyncGenerator<StoredFile> {
  const root = filePath(prefix);
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch((thrown: unknown) => {
    if (codeOf(thrown) === 'ENOENT') return [];
    throw thrown;
  });
  const scheme = prefix.slice(0, prefix.length - root.length);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`;
    const facts = await stat(path).catch((thrown: unknown) => {
      // Removed while we look.
      if (codeOf(thrown) === 'ENOENT') return null;
      throw thrown;
    });
    if (facts) yield { location: `${scheme}${path}`, sizeBytes: facts.size, modifiedMs: facts.mtimeMs };
  }
}

async function orGone<Result>(location: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') throw cause;
    throw new DailiesError('not_found', `The file ${location} is gone.`, { cause, details: { location } });
  }
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : null;
}
