import { rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { makeProcessFolder } from './iceberg/storage/process-folder.ts';

let folder: string | null = null;
let nextFile = 0;

/** A path on the local disk that nobody else uses, for a file that its maker removes; after a crash the next process does. */
export function scratchPath(suffix: string): string {
  if (folder === null) {
    const own = makeProcessFolder(join(tmpdir(), `dailies-scratch-${userInfo().uid}`));
    process.once('exit', () => rmSync(own, { recursive: true, force: true }));
    folder = own;
  }
  return join(folder, `${nextFile++}${suffix}`);
}
