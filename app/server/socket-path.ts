import { createHash } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';

/** Longest address of a Unix socket on every system we run on (macOS: 104 bytes with the final zero). */
const maxBytes = 103;

/**
 * Where a socket of this home stands: `<home>/<name>`, or, where that is too long for the system, a name made of it in a
 * folder of the same user below the folder for temporary files.
 */
export function socketPath(home: string, name = 'dailies.sock'): string {
  const inHome = path.join(home, name);
  if (Buffer.byteLength(inHome) <= maxBytes) return inHome;
  const short = createHash('sha256').update(inHome).digest('hex').slice(0, 16);
  return path.join(os.tmpdir(), `dailies-${process.getuid?.() ?? 'user'}-${short}.sock`);
}
