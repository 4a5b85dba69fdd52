import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Principal } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import type { ResultColumn, ResultRow } from '#connectors/destination.ts';
import { destinations } from '#connectors/modules.ts';
import { Pace } from '#connectors/pace.ts';
import { requestRun } from '#connectors/reports/request-run.ts';
import type { ReportQueries } from '#connectors/reports/run-report.ts';
import { type ReportsDeps, startReports } from '#connectors/reports/start-reports.ts';
import { type GoogleSheetsDouble, startGoogleSheetsDouble } from '#ingest/demo/doubles/google-sheets.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';
import { QuickClock } from '../delivery-harness.ts';

const columns: ResultColumn[] = [
  { name: 'id', type: { kind: 'long' } },
  { name: 'title', type: { kind: 'string' } },
];

/** Answers every query with `rows`, and remembers who asked and with what. */
class Answers implements ReportQueries {
  rows: ResultRow[] = [];
  failures: DailiesError[] = [];
  asked: { who: Principal; parameters: Record<string, unknown> | undefined }[] = [];

  async submit(request: { parameters?: Record<string, unknown> }, who: Principal): Promise<{ id: string }> {
    this.asked.push({ who, parameters: request.parameters });
    const failure = this.failures.shift();
    if (failure) throw failure;
    return { id: 'q' };
  }

  async wait() {
    return { state: 'succeeded', rowCount: this.rows.length, error: null };
  }

  async cancel(): Promise<void> {}

  async readBatches() {
    const { rows } = this;
    const batches = async function* () {
      yield rows;
    };
    return { columns, batches: batches() };
  }

  resultFile(): Promise<string> {
    return Promise.reject(new Error('no file was expected'));
  }
}

let database: TestState;
let google: GoogleSheetsDouble;
let queries: Answers;
let reports: { close(): Promise<void> } | null;

beforeEach(async () => {
  database = await createState();
  google = await startGoogleSheetsDouble({
    spreadsheets: [{ id: 'sheet1', title: 'Films' }],
    quota: { perUser: 600, perProject: 600 },
  });
  queries = new Answers();
  queries.rows = [
    [1n, 'Dune'],
    [2n, 'Heat'],
  ];
  reports = null;
  await database.state.person.create({ data: { email: 'ann@studio.example', roles: ['analyst'] } });
});

afterEach(async () => {
  await reports?.close();
  await google.close();
  await database.drop();
});

async function start(more: Partial<ReportsDeps> = {}): Promise<void> {
  reports = await startReports({
    state: database.state,
    databaseUrl: database.url,
    queries,
    destinations,
    home: '/nowhere',
    googleUrl: google.url,
    airtableUrl: null,
    resolveSecrets: async (spec) =>
      JSON.parse(JSON.stringify(spec).replace('"${secret:google}"', JSON.stringify(google.serviceAccount))),
    log: () => {},
    retryDelaySeconds: 1,
    ...more,
  });
}

async function makeReport(
  name: string,
  more: { schedule?: object; spreadsheet?: string; deliveries?: object[] } = {},
): Promise<void> {
  const delivery = {
    kind: 'google-sheets',
    spreadsheet: more.spreadsheet ?? 'sheet1',
    tab: name,
    credentials: '${secret:google}',
    mode: 'mirror',
    key: ['id'],
  };
  await database.state.report.create({
    data: {
      name,
      owner: 'ann@studio.example',
      sql: 'SELECT id, title FROM production.movie WHERE status = :status',
      parameters: { status: { type: 'text', default: 'shooting' } },
      deliveries: more.deliveries ?? [delivery],
      ...(more.schedule === undefined ? {} : { schedule: more.schedule }),
    },
  });
}

async function ended(runId: string) {
  return vi.waitFor(
    async () => {
      const run = await database.state.reportRun.findUniqueOrThrow({
        where: { id: runId },
        include: { attempts: { orderBy: { number: 'asc' } }, destinations: { orderBy: { ordinal: 'asc' } } },
      });
      expect(run.endedAt).not.toBeNull();
      return run;
    },
    { timeout: 200_000, interval: 50 },
  );
}

async function titles(tab: string): Promise<string[]> {
  const response = await fetch(`${google.url}/__sheet/sheet1/${tab}`);
  const { cells } = (await response.json()) as { cells: string[][] };
  return cells.slice(1).map((row) => row[1] ?? '');
}

const ann = { email: 'ann@studio.example' };

describe('a run that a person asks for', () => {
  it('reads as the owner with the default parameters, delivers, and says what it did', async () => {
    await makeReport('films');
    await start();
    const run = await ended((await requestRun(database.state, 'films', 'manual', ann)).runId);
    expect(run).toMatchObject({ state: 'succeeded', rows: 2n, trigger: 'manual', error: null });
    expect(run.attempts.length).toBe(1);
    expect(run.destinations).toMatchObject([
      {
        kind: 'google-sheets',
        target: 'sheet1/films',
        delivered: 2,
        added: 2,
        written: 2,
        state: 'succeeded',
        errors: [],
      },
    ]);
    expect(queries.asked).toEqual([
      {
        who: { email: 'ann@studio.example', roles: ['analyst'], kind: 'person' },
        parameters: { status: { type: 'text', value: 'shooting' } },
      },
    ]);
    expect(await titles('films')).toEqual(['Dune', 'Heat']);
    const again = await ended((await requestRun(database.state, 'films', 'manual', ann)).runId);
    expect(again.destinations[0]).toMatchObject({ delivered: 2, written: 0 });
  });

  it('is one run for one slot', async () => {
    await makeReport('films');
    const [a, b] = await Promise.all(
      ['s', 's'].map((slot) => requestRun(database.state, 'films', 'schedule', ann, slot)),
    );
    expect(a?.runId).toBe(b?.runId);
    await expect(requestRun(database.state, 'nothing', 'manual', ann)).rejects.toThrow('There is no report nothing');
  });

  it('waits for it where nobody runs reports yet', async () => {
    await makeReport('films');
    const { runId } = await requestRun(database.state, 'films', 'manual', ann);
    await start();
    expect((await ended(runId)).state).toBe('succeeded');
  });

  it('tries again what passes by itself, each attempt with its reason', async () => {
    await makeReport('films');
    queries.failures = [new DailiesError('timeout', 'Too slow today.')];
    await start();
    const run = await ended((await requestRun(database.state, 'films', 'manual', ann)).runId);
    expect(run.state).toBe('succeeded');
    expect(run.attempts.map((attempt) => (attempt.error as { code: string } | null)?.code ?? null)).toEqual([
      'timeout',
      null,
    ]);
  });

  it('gives up at once on what a person has to mend, and says it; other deliveries arrive', async () => {
    const good = {
      kind: 'google-sheets',
      spreadsheet: 'sheet1',
      tab: 'good',
      credentials: '${secret:google}',
      mode: 'mirror',
      key: ['id'],
    };
    await makeReport('films', { deliveries: [{ ...good, spreadsheet: 'nowhere' }, good] });
    await start();
    const run = await ended((await requestRun(database.state, 'films', 'manual', ann)).runId);
    expect(run.state).toBe('partial');
    expect(run.attempts.length).toBe(1);
    expect(run.destinations.map((one) => one.state)).toEqual(['failed', 'succeeded']);
    expect(run.destinations[0]?.errors).toEqual([
      { key: '', message: expect.stringContaining('There is no Google sheet nowhere') },
    ]);
    expect(await titles('good')).toEqual(['Dune', 'Heat']);
  });

  it('fails with the reason when no attempt succeeds', async () => {
    await makeReport('films');
    google.faults.add({ match: '/v4/', kind: 'status', status: 500, times: 1_000 });
    await start({ attempts: 2, pace: new Pace(new QuickClock()) });
    const run = await ended((await requestRun(database.state, 'films', 'manual', ann)).runId);
    expect(run.state).toBe('failed');
    expect(run.attempts.length).toBe(2);
    expect(run.error).toMatchObject({ code: 'destination_unreachable' });
  });

  it('is partial where single rows were left out', async () => {
    await makeReport('films');
    queries.rows.push([null, 'no key']);
    await start();
    const run = await ended((await requestRun(database.state, 'films', 'manual', ann)).runId);
    expect(run).toMatchObject({ state: 'partial', error: null });
    expect(run.destinations[0]).toMatchObject({ delivered: 2, state: 'partial' });
  });
});

describe('runs that begin by themselves', () => {
  it('follow new snapshots of the tables, once for each, and rest while paused', async () => {
    await makeReport('films', { schedule: { onNewData: ['production.movie'] } });
    await database.state.dataTable.create({ data: { name: 'production.movie', key: ['id'], snapshotId: 1n } });
    await start();
    const runs = () => database.state.reportRun.findMany({ orderBy: { createdAt: 'asc' } });
    const untilRuns = (count: number) =>
      vi.waitFor(
        async () => {
          const all = await runs();
          expect(all.length).toBe(count);
          expect(all.every((run) => run.state === 'succeeded')).toBe(true);
        },
        { timeout: 120_000, interval: 50 },
      );
    await untilRuns(1);
    queries.rows = [[1n, 'Dune: Part One']];
    await database.state.dataTable.update({ where: { name: 'production.movie' }, data: { snapshotId: 2n } });
    await untilRuns(2);
    expect(await titles('films')).toEqual(['Dune: Part One']);
    await database.state.report.update({ where: { name: 'films' }, data: { isPaused: true } });
    // The runs of a report that was made after that tell of looks that knew of it.
    await makeReport('talents', { schedule: { onNewData: ['production.talent'] } });
    const untilLooked = (count: number) =>
      vi.waitFor(
        async () => expect(await database.state.reportRun.count({ where: { reportName: 'talents' } })).toBe(count),
        { timeout: 120_000, interval: 50 },
      );
    await database.state.dataTable.create({ data: { name: 'production.talent', key: ['id'], snapshotId: 1n } });
    await untilLooked(1);
    await database.state.dataTable.update({ where: { name: 'production.movie' }, data: { snapshotId: 3n } });
    await database.state.dataTable.update({ where: { name: 'production.talent' }, data: { snapshotId: 2n } });
    await untilLooked(2);
    await ended((await requestRun(database.state, 'films', 'manual', ann)).runId);
    const begun = (await runs()).filter((run) => run.reportName === 'films' && run.trigger === 'new-data');
    expect(begun.length).toBe(2);
  });

  it('follow the schedule, catching up what was missed by one run', async () => {
    await makeReport('films', { schedule: { cron: '*/10 * * * *', zone: 'America/Los_Angeles' } });
    await database.state.$executeRaw`UPDATE "Report" SET "updatedAt" = now() - interval '1 hour'`;
    await start();
    await vi.waitFor(async () => expect((await database.state.reportRun.findMany()).length).toBe(1), {
      timeout: 120_000,
    });
    const [run] = await database.state.reportRun.findMany();
    expect(run?.slot).toMatch(/^schedule:\d{4}-\d\d-\d\dT\d\d:\d0:00\.000Z$/);
    expect((await ended(run?.id ?? '')).state).toBe('succeeded');
  });
});

it('a worker that is killed in the middle of a delivery loses and doubles nothing', async () => {
  const count = 300;
  await makeReport('films');
  const worker = fork(path.join(import.meta.dirname, 'reports-worker.ts'), {
    execArgv: [],
    env: {
      ...process.env,
      STATE_URL: database.url,
      GOOGLE_URL: google.url,
      GOOGLE_KEY: google.serviceAccount,
      ROWS: String(count),
    },
  });
  await once(worker, 'message');
  // The write is carried out, and its answer comes only when nobody is there any more.
  google.faults.add({ match: 'POST *values:batchUpdate', kind: 'slow', ms: 1_500 });
  const { runId } = await requestRun(database.state, 'films', 'manual', ann);
  await vi.waitFor(() => expect(google.requests.some((one) => one.path.includes('values:batchUpdate'))).toBe(true), {
    timeout: 120_000,
    interval: 20,
  });
  await kill(worker);
  queries.rows = Array.from({ length: count }, (_, at): ResultRow => [BigInt(at), `film ${at}`]);
  await start();
  const run = await ended(runId);
  expect(run.state).toBe('succeeded');
  expect(run.attempts.length).toBe(2);
  expect(await titles('films')).toEqual(queries.rows.map((row) => row[1]));
});

async function kill(worker: ChildProcess): Promise<void> {
  const gone = once(worker, 'exit');
  worker.kill('SIGKILL');
  await gone;
}
