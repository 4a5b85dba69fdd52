import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DailiesError } from '#catalog/error.ts';

/** Longest address of a Unix socket on every system we run on (macOS: 104 bytes with the final zero). */
const maxBytes = 103;

/**
 * Where a socket of this home stands: `<home>/<name>`, or, where that is too long for the system, a name made of it in a
 * folder of the same user below the folder for temporary files, made at first need. Throws `environment_invalid` where
 * somebody else could stand a socket of theirs there: commands send secrets into it.
 */
export function socketPath(home: string, name = 'dailies.sock', temporary = os.tmpdir()): string {
  const inHome = path.join(home, name);
  if (Buffer.byteLength(inHome) <= maxBytes) return inHome;
  const folder = path.join(temporary, `dailies-${process.getuid?.() ?? 'user'}`);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { mode, uid } = fs.lstatSync(folder);
  const isOwn = process.getuid === undefined || (uid === process.getuid() && (mode & 0o077) === 0);
  if (!isOwn)
    throw new DailiesError(
      'environment_invalid',
      `Others may write into ${folder}, where sockets of a home with so long a path go: set DAILIES_HOME to a shorter path, or remove that folder.`,
      { details: { folder } },
    );
  return path.join(folder, `${createHash('sha256').update(inHome).digest('hex').slice(0, 16)}.sock`);
}
