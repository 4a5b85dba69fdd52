import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { request as httpRequest, type RequestOptions } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer, type WebServer } from '#app/server/server.ts';
import type { ServerOptions } from '#app/server/server-deps.ts';
import { socketPath } from '#app/server/socket-path.ts';
import { system } from '#catalog/access/principal.ts';
import { readEnvironment } from '#catalog/environment.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { TableCommit } from '#catalog/iceberg/tables/table-catalog.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { firstAdminLink, invitePerson } from '#catalog/services/person/invite.ts';
import { setRoles } from '#catalog/services/person/set-roles.ts';
import { loadSecretKey } from '#catalog/services/secret/secret-key.ts';
import { createToken } from '#catalog/services/token/create.ts';
import { freePort } from '#catalog/state/embedded-postgres.ts';
import { destinations } from '#connectors/modules.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';

const password = 'a long enough password';

describe('the HTTP server', () => {
  let test: TestState;
  let home: string;
  let options: ServerOptions;
  let server: WebServer;
  let base: string;
  const reported: string[] = [];

  beforeAll(async () => {
    test = await createState();
    home = await mkdtemp(path.join(os.tmpdir(), 'dailies-server-'));
    const port = await freePort();
    const environment = readEnvironment({ DAILIES_HOME: home, DAILIES_PORT: String(port) });
    const { state } = test;
    const catalog = new IcebergCatalog(state, environment.warehouse);
    options = {
      environment,
      state,
      catalog,
      queries: new QueryService({ state, catalog, resultsDir: path.join(home, 'results') }),
      secretKey: await loadSecretKey(environment),
      modules: { sources, processors, sinks, destinations },
      isDemo: true,
      pages: (_, response) => void response.end('a page'),
      now: () => new Date(),
      report: (line) => reported.push(line),
    };
    server = await startServer(options);
    base = `http://localhost:${port}`;
  });
  afterAll(async () => {
    await server?.close();
    await options?.queries.close();
    await test?.drop();
    await rm(home, { recursive: true, force: true });
  });

  const scope = () => ({ state: test.state, who: system });
  const token = async (name: string, role: string) => (await createToken(scope(), { name, role })).token;
  const bearer = (value: string) => ({ authorization: `Bearer ${value}` });
  const post = (address: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(base + address, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  /** The cookie that a browser would send after this answer. */
  const cookieOf = (answer: Response) =>
    answer.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';', 1)[0])
      .join('; ');
  const whoIs = async (cookie: string) => {
    const answer = await fetch(`${base}/api/trpc/session.get`, { headers: { cookie } });
    const body = (await answer.json()) as {
      result: { data: { json: { who: { email: string; roles: string[] } | null } } };
    };
    return body.result.data.json.who;
  };

  it('answers whether it lives, whether it can work, and its metrics, to everybody', async () => {
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${base}/metrics`)).text()).toMatch(/^process_uptime_seconds \d/m);
  });

  it('gives pages what is not its own, and programs a problem for what is not there', async () => {
    expect(await (await fetch(`${base}/catalog/production.movie`)).text()).toBe('a page');
    const answer = await fetch(`${base}/api/v1/nothing`, { headers: bearer(await token('lost', 'staff')) });
    expect(answer.status).toBe(404);
    expect(answer.headers.get('content-type')).toMatch('application/problem+json');
    expect(await answer.json()).toMatchObject({ code: 'not_found', title: 'Not found', status: 404 });
    const wrong = await fetch(`${base}/api/v1/status`, {
      method: 'DELETE',
      headers: bearer(await token('wrong', 'staff')),
    });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET']);
  });

  it('refuses who is not signed in, in each protocol’s own form', async () => {
    const api = await fetch(`${base}/api/v1/status`);
    expect([api.status, (await api.json()).code]).toEqual([401, 'unauthenticated']);
    const graph = await post('/api/graphql', { query: '{ tables { name } }' });
    expect([graph.status, (await graph.json()).errors[0].extensions.code]).toEqual([401, 'unauthenticated']);
    const iceberg = await fetch(`${base}/iceberg/v1/config`, { headers: bearer('dly_unknown') });
    expect([iceberg.status, (await iceberg.json()).error.type]).toEqual([401, 'NotAuthorizedException']);
    const malformed = await post('/api/v1/queries', 'x', { authorization: 'Basic eDp5' });
    expect(malformed.status).toBe(401);
  });

  it('shows a token once, keeps its hash, and forgets it when it is revoked', async () => {
    const value = await token('ci', 'admin');
    const row = await test.state.apiToken.findUniqueOrThrow({ where: { name: 'ci' } });
    expect(Buffer.from(row.hash).toString()).not.toContain(value);
    const listed = await fetch(`${base}/api/v1/tokens`, { headers: bearer(value) });
    expect(JSON.stringify(await listed.json())).not.toContain(value);
    const typo = await post('/api/v1/tokens', { name: 'x', role: 'admn' }, bearer(value));
    expect([typo.status, (await typo.json()).detail]).toEqual([422, 'There is no role admn. Did you mean admin?']);
    expect((await fetch(`${base}/api/v1/tokens/ci`, { method: 'DELETE', headers: bearer(value) })).status).toBe(204);
    expect((await fetch(`${base}/api/v1/tokens`, { headers: bearer(value) })).status).toBe(401);
  });

  it('holds each role to what it may do', async () => {
    const headers = bearer(await token('staff-only', 'staff'));
    for (const address of ['/api/v1/definition', '/api/v1/secrets', '/api/v1/tokens']) {
      const answer = await fetch(base + address, { headers });
      expect([address, answer.status, (await answer.json()).code]).toEqual([address, 403, 'forbidden']);
    }
    const pause = await post('/api/v1/pipelines/movies/pause', {}, headers);
    expect(pause.status).toBe(403);
    expect((await fetch(`${base}/api/v1/status`, { headers })).status).toBe(200);
    const iceberg = await fetch(`${base}/iceberg/v1/namespaces`, { headers });
    expect([iceberg.status, await iceberg.json()]).toMatchObject([200, { namespaces: [] }]);
  });

  it('takes whoever may open the socket in the home folder for an admin', async () => {
    const socket = socketPath(home);
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    const put = await overSocket(socket, 'PUT', '/api/v1/secrets/edge-url', { value: 'http://edge.example' });
    expect(put.status).toBe(204);
    const listed = await overSocket(socket, 'GET', '/api/v1/secrets');
    expect(listed.body).toContain('edge-url');
    expect(listed.body).not.toContain('http://edge.example');
    const as = await overSocket(socket, 'GET', '/api/v1/secrets', undefined, { 'dailies-as': 'nobody@studio.example' });
    expect(as.status).toBe(403);
  });

  it('applies a definition, tells its faults by line, and gives it back', async () => {
    const headers = bearer(await token('deployer', 'admin'));
    const put = (body: string, query = '') =>
      fetch(`${base}/api/v1/definition${query}`, { method: 'PUT', headers, body });
    const good = 'version: 1\nreports:\n  films: { owner: a@b.example, sql: SELECT 1 AS one }\n';
    const shown = await (await put(good, '?dryRun=true')).json();
    expect(shown).toMatchObject({ isApplied: false, lines: ['+ report films'] });
    expect(await (await put(good)).json()).toMatchObject({ isApplied: true });
    expect(await (await put(good)).json()).toMatchObject({ isApplied: false, changes: [] });
    expect(await (await fetch(`${base}/api/v1/definition`, { headers })).json()).toMatchObject({
      version: 1,
      reports: { films: { owner: 'a@b.example', sql: 'SELECT 1 AS one' } },
    });
    const bad = await put(good.replace('owner:', 'ower:'));
    expect(bad.status).toBe(422);
    expect(await bad.json()).toMatchObject({
      code: 'definition_invalid',
      details: { problems: [{ line: 3 }, { line: 3 }] },
    });
    const sql = await put(good.replace('SELECT 1', 'SELEC 1'));
    expect(await sql.json()).toMatchObject({ code: 'definition_invalid' });
    const json = await put(JSON.stringify({ version: 1, people: { 'x@y.example': { roles: ['staff'] } } }));
    expect(json.status).toBe(200);
  });

  it('takes a run of maintenance from who may write pipelines, for a table that there is', async () => {
    const address = '/api/v1/tables/production.movie/maintenance';
    const owner = bearer(await token('owner-of-files', 'owner'));
    expect((await post(address, {}, owner)).status).toBe(404);
    await options.catalog.commit([
      newTable('production.movie', await options.catalog.newTableLocation('production.movie', uuid)),
    ]);
    expect((await post(address, {}, bearer(await token('analyst-of-files', 'analyst')))).status).toBe(403);
    const asked = await post(address, {}, owner);
    expect(asked.status).toBe(201);
    const { id } = await asked.json();
    expect(await (await fetch(`${base}${address}/${id}`, { headers: owner })).json()).toMatchObject({
      state: 'queued',
      result: {},
    });
    expect(await (await fetch(base + address, { headers: owner })).json()).toMatchObject({
      figures: null,
      runs: [{ id, trigger: 'manual', requestedBy: expect.stringContaining('owner-of-files') }],
    });
  });

  it('runs a query for who asked, and hides it from everybody else', async () => {
    const analyst = bearer(await token('analyst-1', 'analyst'));
    const submitted = await post('/api/v1/queries', { sql: 'SELECT 41 + :n AS answer', parameters: { n: 1 } }, analyst);
    expect(submitted.status).toBe(201);
    const { id } = await submitted.json();
    await expect
      .poll(async () => (await (await fetch(`${base}/api/v1/queries/${id}`, { headers: analyst })).json()).state, {
        timeout: 60_000,
      })
      .toBe('succeeded');
    const rows = await fetch(`${base}/api/v1/queries/${id}/rows?offset=0&limit=10`, { headers: analyst });
    expect(await rows.json()).toEqual({ rows: [['42']] });
    const csv = await fetch(`${base}/api/v1/queries/${id}/result.csv`, { headers: analyst });
    expect(csv.headers.get('content-type')).toMatch('text/csv');
    expect(await csv.text()).toContain('42');
    const admin = bearer(await token('curious', 'admin'));
    for (const part of ['', '/rows', '/result.csv'])
      expect((await fetch(`${base}/api/v1/queries/${id}${part}`, { headers: admin })).status).toBe(404);
    const typo = await post('/api/v1/queries', { sql: 'SELECT 1', parametres: {} }, analyst);
    expect(typo.status).toBe(422);
    for (const text of ['\u0000', '\ud800', { type: 'date', value: '2026-13-01' }]) {
      const unkept = await post('/api/v1/queries', { sql: 'SELECT :n', parameters: { n: text } }, analyst);
      expect(unkept.status).toBe(422);
    }
    const [own] = await test.state.query.findMany({ where: { id } });
    const asOwner = { ...admin, 'dailies-as': own?.owner ?? '' };
    expect((await fetch(`${base}/api/v1/queries/${id}`, { headers: asOwner })).status).toBe(404);
    const zone = await post('/api/v1/queries', { sql: 'SELECT 1', asOf: '2026-01-01T00:00:00' }, analyst);
    expect((await zone.json()).detail).toMatch(/asOf: must be ISO 8601 with a zone/);
    const minute = await post('/api/v1/queries', { sql: 'SELECT 1', asOf: '2026-01-01T00:00+01:00' }, analyst);
    expect(minute.status).toBe(201);
  });

  it('answers the catalog’s graph', async () => {
    const headers = bearer(await token('graph', 'staff'));
    const query = `{ tables { name fields { name } sample } reports { name runs { state error destinations { kind delivered errors { key message } } } } owners { email reports } _service { sdl } }`;
    const answer = await post('/api/graphql', { query }, headers);
    expect(await answer.json()).toMatchObject({
      data: {
        tables: [],
        reports: [{ name: 'films', runs: [] }],
        owners: [{ email: 'a@b.example', reports: ['films'] }],
      },
    });
    const introspection = await post('/api/graphql', { query: '{ __schema { queryType { name } } }' }, headers);
    expect(await introspection.json()).toEqual({ data: { __schema: { queryType: { name: 'Query' } } } });
    const wrong = await post('/api/graphql', { query: '{ tabels { name } }' }, headers);
    expect((await wrong.json()).errors[0].message).toMatch(/Cannot query field "tabels"/);
  });

  it('requests a run of a report and shows its state', async () => {
    const headers = bearer(await token('runner', 'analyst'));
    const { id } = await (await post('/api/v1/reports/films/runs', {}, headers)).json();
    const run = await (await fetch(`${base}/api/v1/reports/films/runs/${id}`, { headers })).json();
    expect(run).toMatchObject({ id, state: 'queued', trigger: 'manual', destinations: [] });
    const unknown = await post('/api/v1/reports/film/runs', {}, headers);
    expect([unknown.status, (await unknown.json()).detail]).toEqual([
      404,
      'There is no report film. Did you mean films?',
    ]);
  });

  it('says what a database that does not answer lacks, in one sentence without its password', async () => {
    const headers = bearer(await token('checker', 'admin'));
    const answer = await post('/api/v1/sources/check', { url: 'postgresql://a:hush@127.0.0.1:1/none' }, headers);
    const text = await answer.text();
    expect(answer.status).toBe(502);
    expect(JSON.parse(text)).toMatchObject({ code: 'source_unreachable' });
    expect(text).not.toContain('hush');
  });

  it('makes the first admin by a link that works once', async () => {
    const link = new URL((await firstAdminLink(test.state, base, new Date())) ?? '');
    expect(link.pathname).toBe('/welcome');
    const body = { token: link.searchParams.get('token'), name: 'Ada', email: 'Ada@Studio.example', password };
    const short = await post('/api/auth/welcome', { ...body, password: 'short' });
    expect((await short.json()).detail).toMatch(/password: needs at least 10 characters/);
    const welcomed = await post('/api/auth/welcome', body);
    expect(welcomed.status).toBe(200);
    expect(welcomed.headers.getSetCookie().join()).toMatch(/HttpOnly.*SameSite=Lax/i);
    expect(await whoIs(cookieOf(welcomed))).toMatchObject({ email: 'ada@studio.example', roles: ['admin'] });
    expect((await post('/api/auth/welcome', body)).status).toBe(422);
    expect(await firstAdminLink(test.state, base, new Date())).toBeNull();
  });

  it('signs an invited person in by password, out again, and follows their roles at once', async () => {
    const email = 'vera@studio.example';
    const invited = await invitePerson({ ...scope(), url: base, now: new Date() }, { email, roles: ['analyst'] });
    const body = {
      token: new URL(invited.link).searchParams.get('token'),
      name: 'Vera',
      email: 'other@studio.example',
      password,
    };
    expect((await post('/api/auth/welcome', body)).status).toBe(200);
    const signedIn = await post('/api/auth/sign-in/email', { email, password });
    expect(signedIn.status).toBe(200);
    const cookie = cookieOf(signedIn);
    expect(await whoIs(cookie)).toMatchObject({ email, roles: ['analyst'] });
    await setRoles(scope(), { email, roles: ['staff'] });
    expect(await whoIs(cookie)).toMatchObject({ roles: ['staff'] });
    expect((await post('/api/auth/sign-out', {}, { cookie, origin: base })).status).toBe(200);
    expect(await whoIs(cookie)).toBeNull();
    const signUp = await post('/api/auth/sign-up/email', { email: 'eve@x.example', password, name: 'Eve' });
    expect(signUp.status).toBe(404);
  });

  it('refuses wrong passwords, and after five of them says when to try again', async () => {
    const attempt = () =>
      post('/api/auth/sign-in/email', { email: 'target@studio.example', password: 'wrong wrong wrong' });
    for (let count = 0; count < 5; count++) expect((await attempt()).status).toBe(401);
    const refused = await attempt();
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await refused.json()).detail).toMatch(/^Too many wrong passwords\. Try again in 5 minutes/);
  });

  it('counts wrong passwords that come at once', async () => {
    const body = { email: 'crowd@studio.example', password: 'wrong wrong wrong' };
    const answers = await Promise.all(Array.from({ length: 9 }, () => post('/api/auth/sign-in/email', body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(5).fill(401), ...Array(4).fill(429)]);
  });

  it('signs in by role in the demo, going on to pages of our own only', async () => {
    await setRoles(scope(), { email: 'analyst@studio.example', roles: ['analyst'] });
    const go = (next: string) =>
      fetch(`${base}/sign-in/demo/analyst?next=${encodeURIComponent(next)}`, { redirect: 'manual' });
    const answer = await go('/sql?tab=1');
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/sql?tab=1']);
    expect(await whoIs(cookieOf(answer))).toMatchObject({ email: 'analyst@studio.example', roles: ['analyst'] });
    for (const next of ['https://evil.example', '//evil.example', '/\\evil.example', '/\t/evil.example'])
      expect((await go(next)).headers.get('location')).toBe('/');
    expect((await fetch(`${base}/sign-in/demo/root`, { redirect: 'manual' })).status).toBe(404);
  });

  it('lets no other site act with a person’s cookie', async () => {
    await setRoles(scope(), { email: 'admin@studio.example', roles: ['admin'] });
    const cookie = cookieOf(await fetch(`${base}/sign-in/demo/admin`, { redirect: 'manual' }));
    const body = { name: 'stolen', role: 'admin' };
    expect((await post('/api/v1/tokens', body, { cookie, origin: 'https://evil.example' })).status).toBe(403);
    expect((await post('/api/v1/tokens', body, { cookie, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await post('/api/v1/tokens', body, { cookie, origin: base })).status).toBe(201);
    const rebound = await overPort(options.environment.port, '/sign-in/demo/admin', 'evil.example');
    expect(rebound.status).toBe(403);
  });

  it('tells the status of everything in one document', async () => {
    const { status, body } = await overSocket(socketPath(home), 'GET', '/api/v1/status');
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({
      url: base,
      sources: {},
      pipelines: {},
      sinks: {},
      studio: {
        signIn: Object.fromEntries(
          ['admin', 'analyst', 'owner', 'staff'].map((role) => [role, `${base}/sign-in/demo/${role}`]),
        ),
      },
    });
  });

  it('says in one sentence that its port is taken, and leaves nothing behind', async () => {
    const other = { ...options, environment: { ...options.environment, home: path.join(home, 'other') } };
    await expect(startServer(other)).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(`Port ${options.environment.port} of 127.0.0.1 is taken`),
    });
    await expect(readdir(path.join(home, 'other'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('says which methods there are, and that names are well-formed', async () => {
    const headers = bearer(await token('methods', 'admin'));
    const put = await fetch(`${base}/api/v1/queries`, { method: 'PUT', headers, body: '{}' });
    expect([put.status, put.headers.get('allow'), (await put.json()).status]).toEqual([405, 'POST', 405]);
    expect((await overPort(options.environment.port, '/api/v1/queries', 'localhost', 'TRACE')).status).toBe(405);
    expect((await fetch(`${base}/api/v1/queries/%00`, { headers })).status).toBe(404);
    expect((await fetch(`${base}/iceberg/v1/namespaces/%zz`, { headers })).status).toBe(400);
    expect(put.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('shows the catalog to nobody without a role', async () => {
    const cookie = cookieOf(await fetch(`${base}/sign-in/demo/owner`, { redirect: 'manual' }));
    expect((await fetch(`${base}/iceberg/v1/namespaces`, { headers: { cookie } })).status).toBe(403);
  });

  it('refuses what is too large or not JSON, and tells no stack of anything', async () => {
    const headers = bearer(await token('sizes', 'admin'));
    const large = await post('/api/v1/tokens', { name: 'x'.repeat(2 << 20) }, headers);
    expect([large.status, (await large.json()).code]).toEqual([413, 'too_large']);
    const broken = await fetch(`${base}/api/v1/tokens`, { method: 'POST', headers, body: '{' });
    const text = await broken.text();
    expect(broken.status).toBe(422);
    expect(text).not.toMatch(/at .*\.ts|node_modules/);
    expect(reported).toEqual([]);
  });

  it('keeps its key in a file that only its user may read', async () => {
    expect((await stat(path.join(home, 'secret'))).mode & 0o777).toBe(0o600);
    expect((await readFile(path.join(home, 'secret'), 'utf8')).length).toBeGreaterThan(40);
    expect(await loadSecretKey(options.environment)).toEqual(options.secretKey);
  });
});

interface Answer {
  status: number;
  body: string;
}

function overSocket(socket: string, method: string, address: string, body?: unknown, headers = {}): Promise<Answer> {
  return send({ socketPath: socket, method, path: address, headers }, body);
}

function overPort(port: number, address: string, host: string, method = 'GET'): Promise<Answer> {
  return send({ host: '127.0.0.1', port, method, path: address, headers: { host } });
}

function send(options: RequestOptions, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = httpRequest(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text }));
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const uuid = '5f4dcc3b-5aa7-4d61-9c3d-0a9c3f7f5a10';

/** A table without a column or a row. */
function newTable(name: string, location: string): TableCommit {
  return {
    name,
    base: null,
    requirements: [{ type: 'assert-create' }],
    updates: [
      { action: 'assign-uuid', uuid },
      { action: 'upgrade-format-version', 'format-version': 2 },
      { action: 'set-location', location },
      { action: 'add-schema', schema: { type: 'struct', 'schema-id': 0, fields: [] } },
      { action: 'set-current-schema', 'schema-id': -1 },
      { action: 'add-spec', spec: { 'spec-id': 0, fields: [] } },
      { action: 'set-default-spec', 'spec-id': -1 },
      { action: 'add-sort-order', 'sort-order': { 'order-id': 0, fields: [] } },
      { action: 'set-default-sort-order', 'sort-order-id': -1 },
    ],
  };
}
