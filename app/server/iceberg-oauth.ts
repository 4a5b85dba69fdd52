import { DailiesError } from '#catalog/error.ts';
import { accessTokenSeconds, issueAccessToken, readAccessToken } from '#catalog/services/token/access-token.ts';
import { hashToken } from '#catalog/services/token/create.ts';
import type { ServerDeps } from './server-deps.ts';

/** Where Iceberg clients get access tokens (REST catalog's OpenAPI, `/v1/oauth/tokens`; RFC 6749 and RFC 8693). */
export const tokenPath = '/iceberg/v1/oauth/tokens';

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

/** An OAuth2 error in its own form (RFC 6749, 5.2). */
class OAuthError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * `POST /iceberg/v1/oauth/tokens`: an access token for client credentials (`client_secret` is an API token, `client_id`
 * its name or id, or left out), or in exchange for a token that is about to end. Errors are OAuth2's.
 */
export async function answerTokenRequest(deps: ServerDeps, request: Request): Promise<Response> {
  try {
    if (request.method !== 'POST') throw new OAuthError(405, 'invalid_request', 'Ask for a token with POST.');
    const tokenId = await grantedTokenId(deps, request);
    const body = {
      access_token: issueAccessToken(deps.secretKey, tokenId, deps.now()),
      token_type: 'bearer',
      issued_token_type: accessTokenType,
      expires_in: accessTokenSeconds,
    };
    return Response.json(body, { headers: { 'cache-control': 'no-store' } });
  } catch (thrown) {
    if (thrown instanceof OAuthError) return oauthError(thrown);
    if (thrown instanceof DailiesError && thrown.code === 'too_large')
      return oauthError(new OAuthError(400, 'invalid_request', thrown.message));
    throw thrown;
  }
}

function oauthError({ status, code, message }: OAuthError): Response {
  const headers: Record<string, string> = { 'cache-control': 'no-store' };
  if (status === 401) headers['www-authenticate'] = 'Basic realm="dailies"';
  return Response.json({ error: code, error_description: message }, { status, headers });
}

async function grantedTokenId(deps: ServerDeps, request: Request): Promise<string> {
  const form = new URLSearchParams(await request.text());
  const grant = form.get('grant_type');
  switch (grant) {
    case 'client_credentials': {
      const { id, secret } = clientOf(request, form);
      return await tokenIdOf(deps, id, secret);
    }
    case 'urn:ietf:params:oauth:grant-type:token-exchange': {
      const subject = form.get('subject_token') ?? '';
      const issuedFor = readAccessToken(deps.secretKey, subject, deps.now());
      if (issuedFor === null) return await tokenIdOf(deps, null, subject);
      const isKnown = (await deps.state.apiToken.count({ where: { id: issuedFor } })) > 0;
      if (!isKnown) throw new OAuthError(401, 'invalid_client', 'The API token of this access token was revoked.');
      return issuedFor;
    }
    default:
      throw new OAuthError(400, 'unsupported_grant_type', `The grant ${grant ?? '(none)'} is not supported here.`);
  }
}

/** From the Authorization header, or else from the form. */
function clientOf(request: Request, form: URLSearchParams): { id: string | null; secret: string } {
  const basic = /^Basic +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
  if (basic !== undefined) {
    const [id = '', ...secret] = Buffer.from(basic, 'base64').toString().split(':');
    return { id: formText(id), secret: formText(secret.join(':')) };
  }
  return { id: form.get('client_id'), secret: form.get('client_secret') ?? '' };
}

// RFC 6749, 2.3.1: both are written as in forms before they are joined.
function formText(text: string): string {
  return new URLSearchParams(`v=${text}`).get('v') ?? '';
}

async function tokenIdOf(deps: ServerDeps, client: string | null, secret: string): Promise<string> {
  const row = await deps.state.apiToken.findUnique({ where: { hash: hashToken(secret) } });
  const isClient = client === null || client === '' || client === row?.name || client === row?.id;
  if (row === null || !isClient) {
    throw new OAuthError(
      401,
      'invalid_client',
      'The client secret is no API token that is known here, or not one of this client id. Make one with dailies token create.',
    );
  }
  await deps.state.apiToken.updateMany({ where: { id: row.id }, data: { lastUsedAt: deps.now() } });
  return row.id;
}
