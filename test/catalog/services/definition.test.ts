// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a definition writes its references so
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import { type ApplyDeps, applyDefinition } from '#catalog/services/definition/apply.ts';
import { changeLines } from '#catalog/services/definition/diff.ts';
import { readReferences } from '#catalog/services/definition/environment-references.ts';
import { definitionYaml, exportDefinition } from '#catalog/services/definition/export.ts';
import { leftTargets } from '#catalog/services/pipeline/left-targets.ts';
import { resolveSecrets } from '#catalog/services/secret/resolve.ts';
import { destinations } from '#connectors/modules.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';

const modules = { sources, processors, sinks, destinations };
const secretKey = Buffer.alloc(32, 7);
const env = { PRODUCTION_URL: 'postgresql://reader:s3cret@db.example/production', GOOGLE: '{"refresh_token":"t0ken"}' };

const studio = `version: 1
sources:
  production:
    kind: postgres
    url: \${PRODUCTION_URL}
    tables: [public.movie, public.talent_*]
pipelines:
  movies:
    owner: owner@studio.example
    from: [production.public.movie]
    steps:
      - kind: filter
        where: status <> 'draft'
    to:
      - kind: iceberg
        table: production.movie
reports:
  in-production:
    owner: owner@studio.example
    sql: SELECT id, title FROM production.movie WHERE status = :status
    parameters: { status: { type: text, default: shooting } }
    schedule: { cron: '0 9 * * 1-5', zone: America/Los_Angeles }
    deliveries:
      - kind: google-sheets
        spreadsheet: 1AbC
        tab: Movies
        credentials: \${GOOGLE}
        mode: mirror
        key: [id]
people:
  Owner@studio.example: { roles: [owner] }
policies: []
`;

describe('applying a definition', () => {
  let test: TestState;
  let deps: ApplyDeps;

  beforeAll(async () => {
    test = await createState();
    const describeSql = async () => ({ reads: ['production.movie'] });
    deps = { state: test.state, who: system, secretKey, modules, describeSql };
  });
  afterAll(() => test?.drop());
  beforeEach(async () => {
    await test.state.source.deleteMany();
    await test.state.pipeline.deleteMany();
    await test.state.report.deleteMany();
    await test.state.person.deleteMany();
    await test.state.secret.deleteMany();
    await test.state.auditEvent.deleteMany();
  });

  const request = (text: string, name = 'studio.yaml') => readReferences([{ name, text }], env);
  const cli = { mayHoldCredentials: true };
  const apply = (text: string, options = {}) => applyDefinition(deps, request(text), { ...cli, ...options });
  /** The error's message of what must fail, and that nothing of it was applied. */
  const refusal = async (work: () => unknown): Promise<string> => {
    const error = await Promise.resolve()
      .then(work)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DailiesError);
    expect(await test.state.source.count()).toBe(0);
    expect(await test.state.secret.count()).toBe(0);
    return (error as DailiesError).message;
  };

  it('shows the difference, applies it, and changes nothing the second time', async () => {
    const shown = await apply(studio, { dryRun: true });
    expect(changeLines(shown.changes)).toEqual([
      '+ secret PRODUCTION_URL',
      '+ secret GOOGLE',
      '+ source production',
      '+ pipeline movies',
      '+ report in-production',
      '+ person owner@studio.example',
    ]);
    expect(await test.state.pipeline.count()).toBe(0);

    expect((await apply(studio)).isApplied).toBe(true);
    const pipeline = await test.state.pipeline.findUniqueOrThrow({ where: { name: 'movies' } });
    expect(pipeline).toMatchObject({ owner: 'owner@studio.example', desired: 'running' });
    const report = await test.state.report.findUniqueOrThrow({ where: { name: 'in-production' } });
    expect(report.reads).toEqual(['production.movie']);

    expect(await apply(studio)).toEqual({ changes: [], isApplied: false });
    expect(await test.state.auditEvent.count()).toBe(1);
  });

  it('keeps secrets as references, encrypted, and never prints them', async () => {
    await apply(studio);
    const source = await test.state.source.findUniqueOrThrow({ where: { name: 'production' } });
    expect(source.spec).toMatchObject({ url: '${secret:PRODUCTION_URL}' });
    expect(await resolveSecrets({ state: test.state, secretKey }, source.spec)).toMatchObject({
      url: env.PRODUCTION_URL,
    });
    const stored = JSON.stringify([
      await exportDefinition({ ...deps, modules }),
      await test.state.auditEvent.findMany({ omit: { id: true } }),
      (await test.state.secret.findMany()).map((secret) => Buffer.from(secret.ciphertext).toString('latin1')),
    ]);
    expect(stored).not.toContain('s3cret');
    expect(stored).not.toContain('t0ken');
  });

  it('exports what applying again does not change', async () => {
    await apply(studio);
    const yaml = definitionYaml(await exportDefinition({ ...deps, modules }));
    expect(
      await applyDefinition(deps, { files: [{ name: 'export', text: yaml }], secrets: {} }, { prune: true }),
    ).toEqual({
      changes: [],
      isApplied: false,
    });
    expect(yaml).toContain('credentials: ${secret:GOOGLE}');
  });

  it('merges by name, tells a change in words, and removes only with prune', async () => {
    await apply(studio);
    const changed = `version: 1\nsources:\n  production:\n    kind: postgres\n    url: \${secret:PRODUCTION_URL}\n    tables: [public.movie, public.credit]\n`;
    const merged = await apply(changed);
    expect(changeLines(merged.changes)).toEqual([
      '~ source production: tables: added public.credit; tables: removed public.talent_*',
    ]);
    expect(await test.state.report.count()).toBe(1);
    const target = { kind: 'iceberg', target: 'production.movie' };
    await test.state.pipelineSink.create({ data: { pipelineName: 'movies', ...target } });
    const pruned = await apply(changed, { prune: true });
    expect(changeLines(pruned.changes)).toEqual([
      '- pipeline movies',
      '- report in-production',
      '- person owner@studio.example',
    ]);
    expect(await leftTargets(test.state)).toEqual([{ pipeline: 'movies', targets: [target] }]);
    const empty = await apply('version: 1\nsources:\npolicies: {}\n', { prune: true });
    expect(changeLines(empty.changes)).toEqual(['- source production']);
    const note = await test.state.setting.findUniqueOrThrow({ where: { key: 'source-removed:production' } });
    expect(note.value).toMatchObject({ name: 'production', kind: 'postgres' });
  });

  it('notices a secret whose value changed', async () => {
    await apply(studio);
    const rotated = { ...request(studio), secrets: { ...env, GOOGLE: 'another' } };
    const { changes } = await applyDefinition(deps, rotated, cli);
    expect(changeLines(changes)).toEqual(['~ secret GOOGLE']);
  });

  it.each([
    [
      'a section',
      studio.replace('pipelines:', 'pipelnes:'),
      /^studio\.yaml:7:1: A definition has no section pipelnes\. Did you mean pipelines\?/m,
    ],
    [
      'a field of a pipeline',
      studio.replace('    from:', '    form:'),
      /^studio\.yaml:10:5: pipelines\.movies has no field form\. Did you mean from\?/m,
    ],
    [
      'a field of a step',
      studio.replace('        where:', '        were:'),
      /^studio\.yaml:13:9: pipelines\.movies\.steps\[0\] has no field were\. Did you mean where\?/m,
    ],
    [
      'a kind',
      studio.replace('kind: iceberg', 'kind: icberg'),
      /^studio\.yaml:15:15: pipelines\.movies\.to\[0\]: there is no sink of kind icberg\. Did you mean iceberg\?/m,
    ],
    [
      'a source',
      studio.replace('from: [production.', 'from: [prodution.'),
      /^studio\.yaml:10:12: .*there is no source prodution\. Did you mean production\?/m,
    ],
    [
      'a table',
      studio.replace('from: [production.public.movie]', 'from: [production.public.movi]'),
      /^studio\.yaml:10:12: .*does not follow public\.movi\. Did you mean production\.public\.movie\?/m,
    ],
    [
      'a time zone',
      studio.replace('Los_Angeles', 'Los_Angles'),
      /^studio\.yaml:22:44: .*no time zone America\/Los_Angles\. Did you mean America\/Los_Angeles\?/m,
    ],
    [
      'a mode',
      studio.replace('mode: mirror', 'mode: miror'),
      /^studio\.yaml:28:15: .*mode: must be one of append, replace, upsert, mirror\. Did you mean mirror\?/m,
    ],
  ])('names file, line and nearest name of a typo in %s', async (_, text, expected) => {
    expect(await refusal(() => apply(text))).toMatch(expected);
  });

  it.each([
    ['text alone', 'just words', /The definition must be a map of names to values/],
    ['an alias inside of itself', 'version: 1\nsources: &all { all: *all }\n', /An alias \(\*name\) stands inside/],
    [
      'aliases that stand for too much',
      `a: &a [${'x,'.repeat(20)}]\nb: &b [${'*a,'.repeat(20)}]\nc: [${'*b,'.repeat(20)}]\n`,
      /Its aliases \(\*name\) stand for too much/,
    ],
  ])('refuses %s', async (_, text, expected) => {
    expect(await refusal(() => apply(text))).toMatch(expected);
  });

  it.each([
    [
      'policies',
      `${studio.replace('policies: []', '')}policies:\n  - { table: production.movie, role: staff }\n`,
      /policies do not work yet/,
    ],
    ['webhook', studio.replace('kind: google-sheets', 'kind: webhook'), /a delivery of kind webhook does not work yet/],
  ])('refuses %s, which does not work yet, by name', async (_, text, expected) => {
    expect(await refusal(() => apply(text))).toMatch(expected);
  });

  it.each([
    ['formatVersion: 4', /formatVersion/],
    ['partition: [moon(released)]', /partition/],
    ['mode: history', /mode: /],
    ['properties: { dailies.history.hourly: many }', /dailies\.history\.hourly must be a whole number/],
  ])('refuses %s of a table, by name', async (line, expected) => {
    const text = studio.replace('        table: production.movie', `        table: production.movie\n        ${line}`);
    expect(await refusal(() => apply(text))).toMatch(expected);
  });

  it.each([
    [
      'a quote that nothing closes',
      'production."{table}',
      ['public.movie'],
      /"production\."\{table\}" is not a table name/,
    ],
    ['a quote within a part', 'production.my"{table}', ['public.*'], /"production\.my"\{table\}" is not a table name/],
    [
      'one name for two tables',
      'production."a.b"',
      ['public.movie', 'public.cut'],
      /several tables would land in production\."a\.b"/,
    ],
    [
      'a name with a dot, written in two ways',
      'production.{table}',
      ['public.a.b', 'other.a.b'],
      /would land in production\."a\.b"/,
    ],
  ])('refuses targets at their line: %s', async (_, table, tables, expected) => {
    const text = studio
      .replace('    tables: [public.movie, public.talent_*]', "    tables: ['*.*']")
      .replace('from: [production.public.movie]', `from: [${tables.map((name) => `production.${name}`).join(', ')}]`)
      .replace('        table: production.movie', `        table: '${table}'`);
    const message = await refusal(() => apply(text));
    expect(message).toMatch(expected);
    expect(message).toMatch(/^studio\.yaml:16:16: pipelines\.movies\.to\[0\]\.table: /);
  });

  it('takes targets whose names hold dots and quotes, and tells who writes one already', async () => {
    const target = (table: string) => studio.replace('        table: production.movie', `        table: '${table}'`);
    const dotted = target('production."a.b".{table}');
    const other = `  other:
    owner: owner@studio.example
    from: [production.public.talent_1]
    to: [{ kind: iceberg, table: 'production."a.b"."movie"' }]
`;
    const message = await refusal(() => apply(dotted.replace('reports:', `${other}reports:`)));
    expect(message).toMatch(/production\."a\.b"\.movie is written by the pipeline (movies|other) already/);
    expect((await apply(dotted)).isApplied).toBe(true);
    expect((await apply(target('production."the_""first""_{table}"'))).isApplied).toBe(true);
  });

  it('names a variable that is not set, and a secret that is not', async () => {
    const unset = () => readReferences([{ name: 'studio.yaml', text: studio }], { GOOGLE: 'x' });
    expect(await refusal(unset)).toMatch(
      /^studio\.yaml:5:10: sources\.production\.url needs the environment variable PRODUCTION_URL/,
    );
    const missing = studio.replace('${PRODUCTION_URL}', '${secret:other}');
    expect(await refusal(() => apply(missing))).toMatch(
      /the secret other is not set\. Set it with dailies secret set other/,
    );
  });

  it('refuses a credential that stands in the text, except from the command line, which keeps it as a secret', async () => {
    const literal = studio.replace('${PRODUCTION_URL}', env.PRODUCTION_URL).replace('${GOOGLE}', 'very-secret');
    const message = await refusal(() =>
      applyDefinition(deps, { files: [{ name: 'definition', text: literal }], secrets: {} }),
    );
    expect(message).toMatch(/sources\.production\.url holds a credential as it is/);
    expect(message).toMatch(/deliveries\[0\]\.credentials holds a credential as it is/);
    expect(message).not.toMatch(/s3cret|very-secret/);

    await apply(literal);
    const source = await test.state.source.findUniqueOrThrow({ where: { name: 'production' } });
    expect(source.spec).toMatchObject({ url: '${secret:production.url}' });
    expect((await apply(literal)).changes).toEqual([]);
  });

  it('takes names with quotes as they are', async () => {
    const name = `Bob's "best" films; DROP TABLE "Report"`;
    const text = `version: 1\nreports:\n  ${JSON.stringify(name)}:\n    owner: a@b.example\n    sql: SELECT 1\n`;
    await apply(text);
    expect((await test.state.report.findMany()).map((report) => report.name)).toEqual([name]);
    expect((await apply(text)).changes).toEqual([]);
  });

  it('applies all of several files, or nothing', async () => {
    const files = [
      { name: 'one.yaml', text: studio },
      {
        name: 'two.yaml',
        text: 'version: 1\nsources:\n  production: { kind: postgres, url: "${PRODUCTION_URL}", tables: [a.b] }\n',
      },
    ];
    expect(await refusal(() => applyDefinition(deps, readReferences(files, env), cli))).toMatch(
      /^two\.yaml:3:3: sources\.production stands in one\.yaml already/,
    );
    const text = `${studio}${studio.slice(studio.indexOf('sources:'), studio.indexOf('pipelines:'))}`;
    expect(await refusal(() => apply(text))).toMatch(/^studio\.yaml:\d+:\d+: .*unique/i);
  });

  it('lets two that apply at once both win, one after the other', async () => {
    const report = (name: string) =>
      `version: 1\nreports:\n  ${name}: { owner: a@b.example, sql: SELECT 1 }\npeople:\n  a@b.example: { roles: [analyst] }\n`;
    const results = await Promise.all(['one', 'two', 'three', 'four'].map((name) => apply(report(name))));
    expect(results.every((result) => result.isApplied)).toBe(true);
    expect(await test.state.report.count()).toBe(4);
    expect(results.filter((result) => result.changes.some((change) => change.section === 'people'))).toHaveLength(1);
  });

  it('is for admins only', async () => {
    const who = { email: 'a@b.example', roles: ['owner'], kind: 'person' as const };
    await expect(applyDefinition({ ...deps, who }, request(studio))).rejects.toMatchObject({ code: 'forbidden' });
  });
});
