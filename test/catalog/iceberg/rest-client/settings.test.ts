import { expect, test } from 'vitest';
import { readEnvironment } from '#catalog/environment.ts';

const uri = 'https://catalog.studio.example/api/catalog';
const read = (env: Record<string, string>) => readEnvironment(env, '/home/studio').catalog;

test('without DAILIES_CATALOG the catalog is ours', () => {
  expect(read({})).toBeNull();
  expect(read({ DAILIES_CATALOG: '' })).toBeNull();
});

test('an address is taken as engines take it, with a token, a credential, or neither', () => {
  expect(read({ DAILIES_CATALOG: `${uri}/v1/`, DAILIES_CATALOG_WAREHOUSE: 'studio' })).toEqual({
    uri,
    warehouse: 'studio',
    auth: { kind: 'none' },
  });
  expect(read({ DAILIES_CATALOG: uri, DAILIES_CATALOG_TOKEN: 'word' })?.auth).toEqual({ kind: 'token', token: 'word' });
  expect(read({ DAILIES_CATALOG: uri, DAILIES_CATALOG_CREDENTIAL: 'studio:pass:word' })?.auth).toEqual({
    kind: 'oauth2',
    clientId: 'studio',
    clientSecret: 'pass:word',
    tokenUri: null,
    scope: 'catalog',
  });
  expect(
    read({
      DAILIES_CATALOG: uri,
      DAILIES_CATALOG_CREDENTIAL: 'only-a-secret',
      DAILIES_CATALOG_OAUTH2_SERVER_URI: 'https://login.example/token',
      DAILIES_CATALOG_SCOPE: 'PRINCIPAL_ROLE:ALL',
    })?.auth,
  ).toMatchObject({ clientId: null, tokenUri: 'https://login.example/token', scope: 'PRINCIPAL_ROLE:ALL' });
});

test('changes wait longer for a commit to another server, unless told otherwise', () => {
  expect(readEnvironment({ DAILIES_CATALOG: uri }).commitEveryMs).toBe(5_000);
  expect(readEnvironment({ DAILIES_CATALOG: uri, DAILIES_COMMIT_SECONDS: '1' }).commitEveryMs).toBe(1_000);
});

const wrong: [Record<string, string>, RegExp][] = [
  [{ DAILIES_CATALOG: 'catalog.studio.example' }, /^DAILIES_CATALOG must be an address that begins with http/],
  [{ DAILIES_CATALOG: 'thrift://metastore:9083' }, /^DAILIES_CATALOG must be an address/],
  [
    { DAILIES_CATALOG: 'https://me:s3cret@catalog' },
    /^DAILIES_CATALOG must not hold a user or password: set DAILIES_CATA/,
  ],
  [{ DAILIES_CATALOG: `${uri}?warehouse=studio` }, /^DAILIES_CATALOG must be an address without \?/],
  [{ DAILIES_CATALOG_TOKEN: 'word' }, /^DAILIES_CATALOG_TOKEN says nothing without DAILIES_CATALOG\./],
  [{ DAILIES_CATALOG: uri, DAILIES_CATALOG_TOKEN: 'two words' }, /^DAILIES_CATALOG_TOKEN must be one word/],
  [
    { DAILIES_CATALOG: uri, DAILIES_CATALOG_TOKEN: 'word', DAILIES_CATALOG_CREDENTIAL: 'a:b' },
    /^DAILIES_CATALOG_TOKEN and DAILIES_CATALOG_CREDENTIAL exclude each other/,
  ],
  [{ DAILIES_CATALOG: uri, DAILIES_CATALOG_CREDENTIAL: 'a:' }, /^DAILIES_CATALOG_CREDENTIAL must be client-id:/],
  [{ DAILIES_CATALOG: uri, DAILIES_CATALOG_SCOPE: 'all' }, /^DAILIES_CATALOG_SCOPE says nothing without DAILIES_CATA/],
  [
    { DAILIES_CATALOG: uri, DAILIES_CATALOG_CREDENTIAL: 'a:b', DAILIES_CATALOG_OAUTH2_SERVER_URI: 'login' },
    /^DAILIES_CATALOG_OAUTH2_SERVER_URI must be an address/,
  ],
];
test.each(wrong)('%o is refused in one sentence that names it and holds no secret', (env, sentence) => {
  let message = '';
  try {
    read(env);
  } catch (thrown) {
    message = (thrown as Error).message;
  }
  expect(message).toMatch(sentence);
  expect(message).not.toMatch(/s3cret|two words/);
});
