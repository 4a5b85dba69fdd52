import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { accessTokenSeconds, issueAccessToken, readAccessToken } from '#catalog/services/token/access-token.ts';
import { createToken } from '#catalog/services/token/create.ts';
import { revokeToken } from '#catalog/services/token/revoke.ts';
import { restClient } from './rest-client.ts';
import { type RestServer, startRestServer } from './rest-server.ts';

describe('OAuth2 of the REST catalog', () => {
  let server: RestServer;
  beforeAll(async () => {
    server = await startRestServer();
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  async function ask(form: Record<string, string>, headers: Record<string, string> = {}) {
    const response = await fetch(`${server.uri}/v1/oauth/tokens`, {
      method: 'POST',
      headers,
      body: new URLSearchParams(form),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }
  const credentials = { grant_type: 'client_credentials', scope: 'catalog' };
  const basic = (id: string, secret: string) => ({
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
  });

  test('client credentials are exchanged for an access token that ends, in the form or in the header', async () => {
    const secret = server.tokens.owner;
    const answers = [
      await ask({ ...credentials, client_id: 'owner', client_secret: secret }),
      await ask({ ...credentials, client_secret: secret }),
      await ask(credentials, basic('owner', secret)),
      await ask(credentials, basic('', secret)),
    ];
    for (const { status, headers, body } of answers) {
      expect(status).toBe(200);
      expect(headers.get('cache-control')).toBe('no-store');
      expect(body).toEqual({
        access_token: expect.stringMatching(/^dla_/),
        token_type: 'bearer',
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        expires_in: accessTokenSeconds,
      });
      expect(body.access_token).not.toContain(secret);
      const call = restClient(server.uri, body.access_token);
      expect((await call('GET', 'namespaces')).status).toBe(200);
    }
    // It has the rights of the API token that it was issued for.
    const staff = await ask({ ...credentials, client_secret: server.tokens.staff });
    const call = restClient(server.uri, staff.body.access_token);
    expect((await call('POST', 'namespaces', { namespace: ['x'] })).status).toBe(403);
  });

  test('wrong credentials and grants are refused in OAuth2’s own form', async () => {
    for (const [form, headers] of [
      [{ ...credentials, client_secret: 'dly_nothing' }],
      [{ ...credentials, client_id: 'admin', client_secret: server.tokens.owner }],
      [credentials, basic('owner', 'wrong')],
      [credentials],
    ] as [Record<string, string>, Record<string, string>?][]) {
      const answer = await ask(form, headers);
      expect([answer.status, answer.body.error]).toEqual([401, 'invalid_client']);
      expect(answer.body.error_description).toContain('dailies token create');
    }
    const password = await ask({ grant_type: 'password', username: 'x', password: 'y' });
    expect([password.status, password.body.error]).toEqual([400, 'unsupported_grant_type']);
    expect((await fetch(`${server.uri}/v1/oauth/tokens`)).status).toBe(405);
  });

  test('an access token is exchanged for a fresh one, and ends with its API token', async () => {
    const made = await createToken({ state: server.state, who: system }, { name: 'short-lived', role: 'owner' });
    const exchange = (subject: string) =>
      ask({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: subject,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      });
    const first = await exchange(made.token);
    const second = await exchange(first.body.access_token);
    expect(second.status).toBe(200);
    const call = restClient(server.uri, second.body.access_token);
    expect((await call('GET', 'config')).status).toBe(200);
    await revokeToken({ state: server.state, who: system }, 'short-lived');
    expect((await call('GET', 'config')).status).toBe(401);
    expect((await exchange(second.body.access_token)).status).toBe(401);
  });
});

test('an access token that was changed, has ended or is of another installation is none', () => {
  const [key, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const now = new Date('2026-01-01T00:00:00Z');
  const token = issueAccessToken(key, 'some-id', now);
  expect(readAccessToken(key, token, now)).toBe('some-id');
  const later = new Date(now.getTime() + accessTokenSeconds * 1000);
  expect(readAccessToken(key, token, new Date(later.getTime() - 1))).toBe('some-id');
  expect(readAccessToken(key, token, later)).toBeNull();
  expect(readAccessToken(other, token, now)).toBeNull();
  const [body = '', signature = ''] = token.slice('dla_'.length).split('.');
  const forged = Buffer.from(JSON.stringify({ id: 'admin-id', until: later.getTime() })).toString('base64url');
  for (const bad of [
    `dla_${forged}.${signature}`,
    `dla_${body}.`,
    `dla_${body}`,
    `dla_.${signature}`,
    `${token}.x`,
    token.slice(4),
    '',
  ]) {
    expect(readAccessToken(key, bad, now), bad).toBeNull();
  }
});
