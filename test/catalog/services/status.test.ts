import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { getStatus, type StatusDeps } from '#catalog/services/status/get.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';

const now = new Date('2026-11-25T12:00:00Z');
const micros = (secondsAgo: number) => String((now.getTime() - secondsAgo * 1000) * 1000);

describe('the status document', () => {
  let test: TestState;
  let deps: StatusDeps;
  /** Where the source's history ends, as a number; positions are numbers here. */
  let head = '100';

  beforeAll(async () => {
    test = await createState();
    const { state } = test;
    await state.source.create({
      data: {
        name: 'production',
        kind: 'postgres',
        spec: {},
        state: 'running',
        position: '100',
        coveredAt: now,
        warnings: {
          create: [
            { code: 'other', message: 'Something else.', since: new Date('2026-11-25T11:30:00Z') },
            { code: 'slot_behind', message: '700 MB are kept.', since: new Date('2026-11-25T11:00:00Z') },
          ],
        },
        tables: {
          create: [
            { name: 'public.movie', state: 'running', rows: 3201n },
            {
              name: 'public.odd',
              state: 'failed',
              lastError: { code: 'type_unsupported', message: 'public.odd.shape …', details: {} },
            },
          ],
        },
      },
    });
    await state.pipeline.create({
      data: {
        name: 'movies',
        spec: { from: ['production.public.movie'], to: [] },
        state: 'running',
        position: { production: { offset: 7, position: '100', timeMicros: micros(2) } },
        sinks: {
          create: {
            kind: 'iceberg',
            target: 'production.movie',
            state: 'running',
            rows: 3200n,
            position: { production: { offset: 7, position: '100', timeMicros: micros(2) } },
          },
        },
      },
    });
    await state.dataTable.create({
      data: {
        name: 'production.movie',
        pipeline: 'movies',
        sources: ['production.public.movie'],
        key: ['id'],
        rows: 3200n,
      },
    });
    let ticks = 0;
    deps = {
      state,
      who: system,
      catalog: null,
      url: 'http://localhost:3000',
      // Each look at the clock is a second later, so that waiting ends without waiting.
      now: () => new Date(now.getTime() + 1000 * ticks++),
      openSource: async () => ({
        head: async () => head,
        distance: (from, to) => Math.max(0, Number(to) - Number(from)),
        close: async () => undefined,
      }),
      studio: async () => null,
    };
  });
  afterAll(() => test?.drop());

  it('has no lag once all that was committed when it was asked can be queried', async () => {
    const status = await getStatus(deps, AbortSignal.timeout(60_000));
    expect(status).toEqual({
      url: 'http://localhost:3000',
      sources: {
        production: {
          state: 'running',
          // The snapshot counted 3201; the table that it lands in tells what became of them.
          rows: 3200,
          lag: { seconds: 0, bytes: 0 },
          lastError: null,
          warnings: [
            { code: 'slot_behind', message: '700 MB are kept.', since: '2026-11-25T11:00:00.000Z' },
            { code: 'other', message: 'Something else.', since: '2026-11-25T11:30:00.000Z' },
          ],
          tables: {
            'public.movie': { state: 'running', rows: 3200, lastError: null },
            'public.odd': {
              state: 'failed',
              rows: 0,
              lastError: { code: 'type_unsupported', message: 'public.odd.shape …', details: {} },
            },
          },
        },
      },
      pipelines: { movies: { state: 'running', rows: 3200, lag: { seconds: 0, bytes: 0 }, lastError: null } },
      sinks: {
        'movies/iceberg/production.movie': {
          state: 'running',
          rows: 3200,
          lag: { seconds: 0, bytes: 0 },
          lastError: null,
        },
      },
    });
  });

  it('tells bytes and the age of what is held where something is missing', async () => {
    head = '160';
    const { pipelines, sinks } = await getStatus(deps, AbortSignal.timeout(60_000));
    expect(pipelines.movies?.lag.bytes).toBe(60);
    expect(sinks['movies/iceberg/production.movie']?.lag.bytes).toBe(60);
    expect(pipelines.movies?.lag.seconds).toBeGreaterThanOrEqual(2);
  });

  it('waits for the worker to cover what was committed', async () => {
    head = '170';
    const covering = getStatus({ ...deps, now: () => now }, AbortSignal.timeout(60_000));
    const position = { production: { offset: 8, position: '170', timeMicros: micros(0) } };
    await test.state.source.update({ where: { name: 'production' }, data: { position: '170' } });
    await test.state.pipelineSink.updateMany({ data: { position } });
    await test.state.pipeline.update({ where: { name: 'movies' }, data: { position } });
    expect((await covering).pipelines.movies?.lag).toEqual({ seconds: 0, bytes: 0 });
  });

  it('tells what it does not know where the source does not answer', async () => {
    const down = { ...deps, openSource: () => Promise.reject(new Error('down')) };
    const status = await getStatus(down, AbortSignal.timeout(60_000));
    expect(status.sources.production?.lag.bytes).toBeNull();
    expect(status.pipelines.movies?.state).toBe('running');
  });

  it('shows a pipeline that people paused as paused', async () => {
    await test.state.pipeline.update({ where: { name: 'movies' }, data: { desired: 'paused' } });
    const status = await getStatus(deps, AbortSignal.timeout(60_000));
    expect(status.pipelines.movies?.state).toBe('paused');
    expect(status.sinks['movies/iceberg/production.movie']?.state).toBe('paused');
  });
});
