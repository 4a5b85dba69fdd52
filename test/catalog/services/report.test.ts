// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a definition writes its references so
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tableLineage } from '#catalog/lineage/table-lineage.ts';
import { listReports } from '#catalog/services/report/list.ts';
import { removeReport } from '#catalog/services/report/remove.ts';
import { saveReport } from '#catalog/services/report/save.ts';
import { setSecret } from '#catalog/services/secret/set.ts';
import { destinations } from '#connectors/modules.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';

const modules = { sources, processors, sinks, destinations };
const secretKey = Buffer.alloc(32, 7);
const person = (email: string, role: string) => ({ email, roles: [role], kind: 'person' as const });
const vera = person('vera@studio.example', 'analyst');
const admin = person('ada@studio.example', 'admin');

describe('reports that people save', () => {
  let test: TestState;
  const deps = (who: typeof vera) => ({
    state: test.state,
    who,
    secretKey,
    modules,
    describeSql: async () => ({ reads: ['production.movie'] }),
  });
  const sheet = {
    kind: 'google-sheets',
    spreadsheet: '1AbC',
    tab: 'Movies',
    credentials: '${secret:google}',
    mode: 'mirror',
    key: ['id'],
  };
  const report = (more: object = {}) => ({ sql: 'SELECT id FROM production.movie', deliveries: [sheet], ...more });

  beforeAll(async () => {
    test = await createState();
    await setSecret(deps(admin), { name: 'google', value: '{}' });
    await setSecret(deps(admin), { name: 'database', value: 'postgresql://a:b@c/d' });
    await test.state.pipeline.create({ data: { name: 'movies', spec: { from: [] } } });
    await test.state.dataTable.create({
      data: { name: 'production.movie', pipeline: 'movies', sources: ['production.public.movie'], key: ['id'] },
    });
  });
  afterAll(() => test?.drop());

  it('belong to who saves them, and only they and admins change them', async () => {
    await saveReport(deps(vera), { name: 'films', report: report() });
    await expect(saveReport(deps(vera), { name: 'films', report: report() })).rejects.toMatchObject({
      code: 'conflict',
    });
    const other = person('eve@studio.example', 'analyst');
    await expect(saveReport(deps(other), { name: 'films', mayReplace: true, report: report() })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('belongs to vera@studio.example'),
    });
    await saveReport(deps(admin), { name: 'films', mayReplace: true, report: report({ title: 'Films' }) });
    expect(await listReports({ state: test.state, who: vera })).toMatchObject([
      { name: 'films', title: 'Films', owner: 'vera@studio.example', reads: ['production.movie'] },
    ]);
    await expect(
      saveReport(deps(person('s@studio.example', 'staff')), { name: 'x', report: report() }),
    ).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('show in the lineage of what they read', async () => {
    const { nodes, edges } = await tableLineage({ state: test.state, who: vera }, 'production.movie');
    expect(nodes.map((node) => node.id)).toEqual([
      'table:production.movie',
      'pipeline:movies',
      'source-table:production.public.movie',
      'report:films',
      expect.stringMatching(/^destination:films → /),
    ]);
    expect(edges).toHaveLength(4);
  });

  it('reach no further than their owner may', async () => {
    const refuse = (delivery: { kind: string }) =>
      saveReport(deps(vera), { name: 'bad', report: report({ deliveries: [delivery] }) });
    const file = { kind: 'file', format: 'csv' };
    for (const path of ['/etc/passwd', '../x.csv', 'secret', 'exports/../secret'])
      await expect(refuse({ ...file, path } as { kind: string })).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringContaining('path must begin with exports/'),
      });
    await test.state.source.create({
      data: { name: 'production', kind: 'postgres', spec: { url: '${secret:database}' } },
    });
    await expect(refuse({ ...sheet, credentials: '${secret:database}' } as { kind: string })).rejects.toMatchObject({
      message: expect.stringContaining('the secret database is for the source production'),
    });
    await expect(refuse({ ...file, path: 'exports/${secret:database}' } as { kind: string })).rejects.toMatchObject({
      message: expect.stringContaining('path cannot hold a secret'),
    });
    await expect(refuse({ ...sheet, credentials: 'as it is' } as { kind: string })).rejects.toMatchObject({
      message: expect.stringContaining('holds a credential as it is'),
    });
    await expect(refuse({ ...sheet, tabb: 'x' } as { kind: string })).rejects.toMatchObject({
      message: expect.stringContaining('Did you mean tab?'),
    });
    await saveReport(deps(admin), {
      name: 'export',
      report: report({ deliveries: [{ ...file, path: '/srv/films.csv' }] }),
    });
  });

  it('are removed with an entry in the audit', async () => {
    await removeReport({ state: test.state, who: vera }, 'films');
    const events = await test.state.auditEvent.findMany({ where: { target: 'films' }, orderBy: { id: 'asc' } });
    expect(events.map((event) => [event.actor, event.action])).toEqual([
      ['vera@studio.example', 'report.create'],
      ['ada@studio.example', 'report.change'],
      ['vera@studio.example', 'report.remove'],
    ]);
  });
});
