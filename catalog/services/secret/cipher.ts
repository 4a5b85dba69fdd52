import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { DailiesError } from '../../error.ts';
import { deriveKey, type SecretKey } from './secret-key.ts';

const purpose = 'dailies.secret.value';

/** AES-256-GCM: 12 bytes of nonce, 16 of tag, then the ciphertext; bound to the secret's name. */
export function encryptSecret(key: SecretKey, name: string, value: string): Uint8Array<ArrayBuffer> {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', deriveKey(key, purpose), nonce);
  cipher.setAAD(Buffer.from(name));
  const body = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return Uint8Array.from(Buffer.concat([nonce, cipher.getAuthTag(), body]));
}

/** Throws `secret_missing` where it was stored under another DAILIES_SECRET. */
export function decryptSecret(key: SecretKey, name: string, ciphertext: Uint8Array): string {
  const bytes = Buffer.from(ciphertext);
  const decipher = createDecipheriv('aes-256-gcm', deriveKey(key, purpose), bytes.subarray(0, 12));
  decipher.setAAD(Buffer.from(name));
  decipher.setAuthTag(bytes.subarray(12, 28));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8');
  } catch (cause) {
    throw new DailiesError(
      'secret_missing',
      `The secret ${name} was stored under another key. Start with the DAILIES_SECRET it was stored with, or set it again: dailies secret set ${name}`,
      { cause, details: { secret: name } },
    );
  }
}
