import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Principal } from '../../access/principal.ts';
import type { State } from '../../state/state.ts';
import { deriveKey, type SecretKey } from '../secret/secret-key.ts';
import { tokenPrincipal } from './authenticate.ts';

/*
 * Access tokens: what OAuth2 clients get for an API token and send in its place. `dla_<claims>.<signature>`, both
 * base64url: claims are JSON {id, until}, the API token's id and the end in ms since 1970; the signature is HMAC-SHA-256
 * of the claims under a key of this installation. Nothing is stored: they end by themselves, and with their API token.
 */
const prefix = 'dla_';

/** How long an access token is good. */
export const accessTokenSeconds = 3600;

const claims = z.object({ id: z.string(), until: z.int() });

export function issueAccessToken(key: SecretKey, tokenId: string, now: Date): string {
  const text = JSON.stringify({ id: tokenId, until: now.getTime() + accessTokenSeconds * 1000 });
  const body = Buffer.from(text).toString('base64url');
  return `${prefix}${body}.${signatureOf(key, body).toString('base64url')}`;
}

/** The id of the API token that an access token was issued for; null for one that is forged, damaged or has ended. */
export function readAccessToken(key: SecretKey, token: string, now: Date): string | null {
  const [body = '', signature = '', ...rest] = token.startsWith(prefix) ? token.slice(prefix.length).split('.') : [];
  const given = Buffer.from(signature, 'base64url');
  const expected = signatureOf(key, body);
  if (rest.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  // Signed by us, so it is JSON of ours.
  const { id, until } = claims.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
  return until > now.getTime() ? id : null;
}

/** Who an access token stands for; null for one that is no longer good, or whose API token was revoked. */
export async function authenticateAccessToken(
  deps: { state: State; secretKey: SecretKey },
  token: string,
  now: Date,
): Promise<Principal | null> {
  const id = readAccessToken(deps.secretKey, token, now);
  if (id === null) return null;
  const row = await deps.state.apiToken.findUnique({ where: { id } });
  return row === null ? null : tokenPrincipal(row);
}

function signatureOf(key: SecretKey, body: string): Buffer {
  return createHmac('sha256', deriveKey(key, 'access-token')).update(body).digest();
}
