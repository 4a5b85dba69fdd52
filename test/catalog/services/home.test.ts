import { afterAll, beforeAll, expect, it } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { getHome } from '#catalog/services/home/get.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';

const now = new Date('2026-11-25T12:00:00Z');
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);

let test: TestState;
beforeAll(async () => {
  test = await createState();
});
afterAll(() => test?.drop());

it('says whether everything is fresh, what failed, and the last of each thing that happened', async () => {
  const { state } = test;
  const scope = { state, who: system };
  await state.source.create({
    data: { name: 'production', kind: 'postgres', spec: {}, position: '9', coveredAt: ago(1) },
  });
  for (const [name, position] of [
    ['movie', '9'],
    ['credit', '4'],
  ] as const) {
    const reached = { production: { offset: 1, position, timeMicros: String(ago(300).getTime() * 1000) } };
    await state.pipeline.create({
      data: {
        name,
        state: 'running',
        spec: { from: [`production.public.${name}`] },
        sinks: { create: { kind: 'iceberg', target: `production.${name}`, state: 'running', position: reached } },
      },
    });
    await state.dataTable.create({
      data: { name: `production.${name}`, pipeline: name, sources: [], key: [], rows: 5n, changedAt: ago(300) },
    });
  }
  const runs = [60, 20].map((seconds) => ({
    slot: `${seconds}`,
    trigger: 'manual',
    requestedBy: 'a@b.example',
    state: 'succeeded',
    createdAt: ago(seconds),
    endedAt: ago(seconds - 1),
  }));
  await state.report.create({
    data: { name: 'films', owner: 'a@b.example', sql: '', reads: [], runs: { create: runs } },
  });

  const home = await getHome(scope, now);
  expect(home).toMatchObject({ tableCount: 2, rows: 10, isFresh: false, problems: [] });
  // Nothing changed for minutes, but movie holds all that its source has; credit does not.
  expect(home.stale).toEqual([{ table: 'production.credit', freshAsOf: ago(300), pipeline: 'credit' }]);
  expect(home.activity.map((entry) => [entry.kind, entry.at])).toEqual([
    ['run', ago(19)],
    ['table', ago(300)],
    ['table', ago(300)],
  ]);

  await state.pipeline.update({
    where: { name: 'credit' },
    data: {
      state: 'failed',
      lastError: { code: 'schema_incompatible', message: 'production.public.credit.role is gone.', details: {} },
    },
  });
  expect((await getHome(scope, now)).problems).toMatchObject([{ kind: 'pipeline', name: 'credit' }]);
});
