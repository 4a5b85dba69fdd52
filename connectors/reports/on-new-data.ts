import type { State } from '#catalog/state/state.ts';
import { requestRun } from './request-run.ts';

export interface NewDataReport {
  name: string;
  tables: readonly string[];
}

/** The least time between two runs of one report that new data began. Google's quota of a run each 2 s is 30 of 60 requests. */
export const minSpacingMs = 2_000;

/**
 * Begins a run of each report whose tables have a snapshot that no run has been begun for. Several changes between two
 * runs are one run, and no run begins while one of the same report is still going on.
 */
export async function requestNewDataRuns(state: State, reports: readonly NewDataReport[], now: Date): Promise<number> {
  const names = [...new Set(reports.flatMap((report) => report.tables))];
  if (names.length === 0) return 0;
  const tables = await state.dataTable.findMany({
    where: { name: { in: names } },
    select: { name: true, snapshotId: true },
  });
  const snapshots = new Map(tables.map((table) => [table.name, table.snapshotId]));
  let begun = 0;
  for (const report of reports) {
    const parts = report.tables.map((name) => `${name}@${snapshots.get(name) ?? ''}`);
    if (report.tables.every((name) => (snapshots.get(name) ?? null) === null)) continue;
    const slot = parts.sort().join(' ');
    const last = await state.reportRun.findFirst({
      where: { reportName: report.name, trigger: 'new-data' },
      orderBy: { createdAt: 'desc' },
      select: { slot: true, state: true, createdAt: true },
    });
    if (last?.slot === `new-data:${slot}`) continue;
    if (last && (last.state === 'queued' || last.state === 'running')) continue;
    if (last && now.getTime() - last.createdAt.getTime() < minSpacingMs) continue;
    const { isNew } = await requestRun(state, report.name, 'new-data', { email: 'system' }, slot);
    if (isNew) begun++;
  }
  return begun;
}
