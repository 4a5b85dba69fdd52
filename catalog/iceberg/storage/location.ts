import { open } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { DailiesError } from '../../error.ts';

/** The absolute `file://` URI of a path. Engines take the part after `file://` as it stands, so nothing is escaped. */
export function fileUri(path: string): string {
  if (!isAbsolute(path)) throw new DailiesError('invalid', `The warehouse path "${path}" is not absolute.`);
  return `file://${path}`;
}

/** The local path of a location that this or another writer put into a table: `file:///a`, `file:/a` or `/a`. */
export function filePath(location: string): string {
  const path = location.replace(/^file:(\/\/)?(?=\/)/, '');
  if (!path.startsWith('/')) {
    throw new DailiesError('unsupported', `The location "${location}" is not on this machine's disk.`);
  }
  return path;
}

/** Flushes a written file, or a folder's entries, to disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A full disk said as such; anything else as it is. */
export function diskError(thrown: unknown, path: string): unknown {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : null;
  const isFull =
    code === 'ENOSPC' ||
    code === 'EDQUOT' ||
    (thrown instanceof Error && /No space left on device/.test(thrown.message));
  if (!isFull) return thrown;
  return new DailiesError('disk_full', `The disk that holds "${path}" is full. Free space and resume.`, {
    cause: thrown,
  });
}
