import { constants, createHash, publicEncrypt } from 'node:crypto';
import { DailiesError } from '#catalog/error.ts';
import { signEd25519 } from './ed25519.ts';

/** What a server's authentication plugin is told and asked by, one message after another. */
export interface Conversation {
  send(payload: Buffer): void;
  /** The next message; `AuthMoreData` without its first byte, or null once the server has said OK. */
  next(): Promise<Buffer | null>;
  /** Whether nobody between can read: TLS, or a Unix socket. */
  isPrivate: boolean;
}

/** Plugins that we speak. */
const plugins = ['mysql_native_password', 'caching_sha2_password', 'client_ed25519'];

/**
 * The first answer to a plugin's nonce; null for a plugin we do not speak.
 *
 * mysql_native_password: SHA1(password) XOR SHA1(nonce · SHA1(SHA1(password))). caching_sha2_password: SHA256(password)
 * XOR SHA256(SHA256(SHA256(password)) · nonce). client_ed25519: a signature of the nonce.
 */
export function firstAnswer(plugin: string, password: string, nonce: Buffer): Buffer | null {
  switch (plugin) {
    case 'mysql_native_password': {
      if (password === '') return Buffer.alloc(0);
      const once = hash('sha1', password);
      return xor(once, hash('sha1', nonce.subarray(0, 20), hash('sha1', once)));
    }
    case 'caching_sha2_password': {
      if (password === '') return Buffer.alloc(0);
      const once = hash('sha256', password);
      return xor(once, hash('sha256', hash('sha256', once), nonce.subarray(0, 20)));
    }
    case 'client_ed25519':
      return signEd25519(Buffer.from(password), nonce.subarray(0, 32));
    default:
      return null;
  }
}

/** `firstAnswer` or `source_refused` by the plugin's name. */
export function answerOf(plugin: string, password: string, nonce: Buffer): Buffer {
  const answer = firstAnswer(plugin, password, nonce);
  if (answer !== null) return answer;
  throw new DailiesError(
    'source_refused',
    `The source wants this user authenticated by "${plugin}", which we do not speak; give the user one of ${plugins.join(', ')}.`,
    { details: { plugin } },
  );
}

/**
 * The rest of caching_sha2_password after the first answer: 3, the server knew the password's hash; 4, it wants the
 * password itself: as it is where nobody can read, else XORed with the nonce and encrypted for the server's RSA key, which
 * it tells when asked by 2.
 */
export async function finishCachingSha2(talk: Conversation, password: string, nonce: Buffer): Promise<void> {
  for (;;) {
    const message = await talk.next();
    if (message === null) return;
    if (message[0] === 3) continue;
    if (message[0] !== 4) throw unexpected();
    const secret = Buffer.from(`${password}\0`);
    if (talk.isPrivate) {
      talk.send(secret);
      continue;
    }
    talk.send(Buffer.from([2]));
    const key = await talk.next();
    if (key === null) throw unexpected();
    const hidden = Buffer.from(secret.map((byte, index) => byte ^ (nonce[index % 20] ?? 0)));
    talk.send(publicEncrypt({ key: key.toString('latin1'), padding: constants.RSA_PKCS1_OAEP_PADDING }, hidden));
  }
}

function unexpected(): DailiesError {
  return new DailiesError('source_protocol', "The source's authentication said something that we do not understand.");
}

function hash(algorithm: string, ...parts: (Buffer | string)[]): Buffer {
  const digest = createHash(algorithm);
  for (const part of parts) digest.update(part);
  return digest.digest();
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ (b[index] ?? 0)));
}
