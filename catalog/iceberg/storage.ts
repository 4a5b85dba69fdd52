import { DailiesError } from '../error.ts';
import { storageOf } from './storage/open-storage.ts';
import type { LocalFiles, NewFile, StoredFile } from './storage/storage.ts';

export type { LocalFiles, NewFile, StoredFile };

/*
 * Where the files of tables are. A location says by itself which storage holds it (`file:///warehouse/…`,
 * `s3://bucket/warehouse/…`). Files are written once and never changed; what is written is durable when its promise
 * resolves, its folder's entry after `syncTableFolders`. Besides what is said below, a storage with a server throws
 * `storage_refused`, `storage_throttled` and `storage_unreachable`.
 */

/** The whole file. Throws `not_found` if it is gone. */
export async function readBytes(location: string): Promise<Buffer> {
  return await storageOf(location).readBytes(location);
}

/**
 * A file, or a range of it, that a table says is there. Throws `table_corrupt` with `what` it is where it is gone or
 * cannot be read; what is the storage's alone, and may pass, as it is.
 */
export async function readTableFile(
  location: string,
  what: string,
  range?: { offset: number; length: number },
): Promise<Buffer> {
  try {
    return range === undefined ? await readBytes(location) : await readRange(location, range.offset, range.length);
  } catch (cause) {
    if (cause instanceof DailiesError && cause.code !== 'not_found') throw cause;
    throw new DailiesError('table_corrupt', `${what} ${location} cannot be read.`, { cause, details: { location } });
  }
}

/** `length` bytes from `offset`, fewer at the file's end. Throws `not_found` if it is gone. */
export async function readRange(location: string, offset: number, length: number): Promise<Buffer> {
  return await storageOf(location).readRange(location, offset, length);
}

/** Writes a file that must not exist yet; durable when resolved. Throws `disk_full`. */
export async function writeBytes(location: string, bytes: string | Uint8Array): Promise<void> {
  await storageOf(location).writeBytes(location, bytes);
}

/** A new file at `location`, written locally by who asks. */
export function newFile(location: string): NewFile {
  return storageOf(location).newFile(location);
}

/** Where the file is on this machine's disk while it is held; in S3 it is nowhere before and after. */
export function localPath(location: string): string {
  return storageOf(location).localPath(location);
}

/**
 * Brings files to this machine's disk, where they are not there yet, and holds them there: whoever hands a `localPath`
 * to DuckDB holds its file until the statement has run. Throws `not_found`, `disk_full`.
 */
export async function holdLocal(locations: readonly string[]): Promise<LocalFiles> {
  const byStorage = Map.groupBy(locations, storageOf);
  const all: LocalFiles[] = [];
  const release = () => {
    for (const files of all.splice(0)) files[Symbol.dispose]();
  };
  try {
    for (const [storage, some] of byStorage) all.push(await storage.holdLocal(some));
  } catch (thrown) {
    release();
    throw thrown;
  }
  return { paths: locations.map(localPath), [Symbol.dispose]: release };
}

/** Deletes files; those that are gone already are passed over. */
export async function removeFiles(locations: readonly string[]): Promise<void> {
  for (const [storage, some] of Map.groupBy(locations, storageOf)) await storage.removeFiles(some);
}

/** All files below a location, in no order; none where there is no such folder. */
export function listFiles(prefix: string): AsyncGenerator<StoredFile> {
  return storageOf(prefix).listFiles(prefix);
}

/** Removes what unfinished uploads below a location, begun before a time, have left; resolves with their number. */
export async function removeUnfinished(prefix: string, beforeMs: number): Promise<number> {
  return await storageOf(prefix).removeUnfinished(prefix, beforeMs);
}

/** Makes the folders of a table, `data` and `metadata` below its location, durable, where a storage has folders at all. */
export async function makeTableFolders(location: string): Promise<void> {
  await storageOf(location).makeTableFolders(location);
}

/** Makes the entries of a table's new files durable, where a storage has folders at all. */
export async function syncTableFolders(location: string): Promise<void> {
  await storageOf(location).syncTableFolders(location);
}
