import { hkdfSync, randomBytes, scryptSync } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DailiesError } from '../../error.ts';

/** The key that all others of this installation are derived from; 32 bytes. */
export type SecretKey = Buffer;

/**
 * From DAILIES_SECRET if it is set, else from `<home>/secret`, which is made with mode 0600 at first need. Several
 * processes may call it at once: they get the same key.
 */
export async function loadSecretKey(environment: { home: string; secret: string | null }): Promise<SecretKey> {
  const passphrase = environment.secret ?? (await keyFile(environment.home));
  return scryptSync(passphrase, 'dailies.secret', 32, { N: 1 << 14 });
}

/** A key for one purpose, so that no two uses share one. */
export function deriveKey(key: SecretKey, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', purpose, 32));
}

async function keyFile(home: string): Promise<string> {
  const path = join(home, 'secret');
  await mkdir(home, { recursive: true });
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(`${randomBytes(32).toString('base64url')}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // Another process may have made the file and not have written it yet.
  for (let attempt = 0; attempt < 100; attempt++) {
    const text = (await readFile(path, 'utf8')).trim();
    if (text.length >= 32) return text;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new DailiesError(
    'environment_invalid',
    `The key file ${path} is empty. Put it back from a backup, or set DAILIES_SECRET.`,
  );
}
