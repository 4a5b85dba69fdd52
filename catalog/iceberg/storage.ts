import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DailiesError } from '../error.ts';
import { diskError, filePath, syncPath } from './location.ts';

/*
 * Where the files of tables are. A location says by itself which storage holds it (`file:///warehouse/…`). Files are
 * written once and never changed; what is written is durable when its promise resolves, its folder's entry after
 * `syncFolders`.
 */

/** The whole file. Throws `not_found` if it is gone. */
export async function readBytes(location: string): Promise<Buffer> {
  try {
    return await readFile(filePath(location));
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') throw gone(location, thrown);
    throw thrown;
  }
}

/** Writes a file that must not exist yet; durable when resolved. Throws `disk_full`. */
export async function writeBytes(location: string, bytes: string | Uint8Array): Promise<void> {
  const path = filePath(location);
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } catch (thrown) {
    throw diskError(thrown, path);
  } finally {
    await handle.close();
  }
}

/** A file that something else writes through the local disk. */
export interface NewFile {
  /** Where it is to be written. */
  path: string;
  /** It is written whole: durable at its location when resolved. Throws `disk_full`. */
  finish(): Promise<void>;
}

/** A new file at `location`, written locally by who asks. */
export function newFile(location: string): NewFile {
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
  };
}

/** Where the file is, or will be once it is held, on this machine's disk. */
export function localPath(location: string): string {
  return filePath(location);
}

/** Files that stay on this machine's disk until they are let go. */
export interface LocalFiles extends Disposable {
  /** In the order asked for; each is `localPath` of its location. */
  paths: string[];
}

/** Brings files to this machine's disk, where they are not there yet, and holds them there. Throws `not_found`. */
export async function holdLocal(locations: readonly string[]): Promise<LocalFiles> {
  return { paths: locations.map(localPath), [Symbol.dispose]: () => {} };
}

/** Deletes files; those that are gone already are passed over. */
export async function removeFiles(locations: readonly string[]): Promise<void> {
  await Promise.all(locations.map((location) => rm(filePath(location), { force: true })));
}

/** A file as a listing tells of it. */
export interface StoredFile {
  location: string;
  sizeBytes: number;
  modifiedMs: number;
}

/** All files below a location, in no order; none where there is no such folder. */
export async function* listFiles(prefix: string): AsyncGenerator<StoredFile> {
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

/** Makes the folders of a table, `data` and `metadata` below its location, with their entries durable. */
export async function makeTableFolders(location: string): Promise<void> {
  const folder = filePath(location);
  await mkdir(`${folder}/metadata`, { recursive: true });
  await mkdir(`${folder}/data`, { recursive: true });
  await syncPath(folder);
  await syncPath(dirname(folder));
  await syncPath(dirname(dirname(folder)));
}

/** Makes the entries of a table's new files durable, where a storage has folders at all. */
export async function syncTableFolders(location: string): Promise<void> {
  const folder = filePath(location);
  await Promise.all([syncPath(`${folder}/metadata`), syncPath(`${folder}/data`)]);
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : null;
}

function gone(location: string, cause: unknown): DailiesError {
  return new DailiesError('not_found', `The file ${location} is gone.`, { cause, details: { location } });
}
