import { DailiesError, type ErrorRecord } from '../../error.ts';
import type { State } from '../../state/state.ts';
import { asJson, noJson } from '../../state/stored-json.ts';
import type { CompactionResult } from './compact-table.ts';
import type { ExpiryResult } from './expire-table.ts';
import type { OrphansResult } from './remove-orphans.ts';
import type { TableFigures } from './table-figures.ts';

/** What one run did; a part that did nothing is left out. */
export interface MaintenanceResult {
  compaction?: CompactionResult;
  expiry?: ExpiryResult;
  orphans?: OrphansResult;
  /** Why something was not done, in plain words. */
  notes?: string[];
}

/** When maintenance looks at the table next, ISO 8601; null while nobody writes it here. */
export interface NextDue {
  expiry: string | null;
  orphans: string | null;
}

export interface RecordedFigures extends TableFigures {
  nextDue: NextDue;
  lastOrphans: string | null;
}

/** Runs of a table that stay recorded. */
const keptRuns = 200;

/** A run that has ended. `id` is that of one that somebody asked for. */
export async function recordRun(
  state: State,
  run: {
    id: string | null;
    tableName: string;
    startedAt: Date;
    endedAt: Date;
    result: MaintenanceResult;
    error: ErrorRecord | null;
  },
): Promise<void> {
  const data = {
    state: run.error ? 'failed' : 'succeeded',
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    result: asJson(run.result),
    error: run.error ? asJson(run.error) : noJson,
  };
  if (run.id === null) {
    await state.maintenanceRun.create({
      data: { ...data, tableName: run.tableName, trigger: 'schedule', createdAt: run.startedAt },
    });
  } else await state.maintenanceRun.update({ where: { id: run.id }, data });
  const oldest = await state.maintenanceRun.findMany({
    where: { tableName: run.tableName },
    orderBy: { createdAt: 'desc' },
    skip: keptRuns,
    take: 1,
    select: { createdAt: true },
  });
  if (oldest[0]) {
    await state.maintenanceRun.deleteMany({
      where: { tableName: run.tableName, createdAt: { lte: oldest[0].createdAt } },
    });
  }
}

export async function recordFigures(state: State, tableName: string, figures: RecordedFigures): Promise<void> {
  const json = asJson(figures);
  await state.tableUpkeep.upsert({
    where: { tableName },
    create: { tableName, figures: json },
    update: { figures: json },
  });
}

/** What was last recorded of the table; null for nothing yet. */
export async function readFigures(state: State, tableName: string): Promise<RecordedFigures | null> {
  const row = await state.tableUpkeep.findUnique({ where: { tableName } });
  return row ? (row.figures as unknown as RecordedFigures) : null;
}

/** Takes the oldest run that somebody asked for, of the tables given or of any; null for none. One worker gets it. */
export async function takeQueuedRun(
  state: State,
  tables: readonly string[] | null,
  now: Date,
): Promise<{ id: string; tableName: string } | null> {
  // Who has the table's writer comes first; others take what nobody has taken for a while.
  const where =
    tables === null
      ? { state: 'queued', createdAt: { lt: new Date(now.getTime() - 3_000) } }
      : { state: 'queued', tableName: { in: [...tables] } };
  const queued = await state.maintenanceRun.findFirst({ where, orderBy: { createdAt: 'asc' } });
  if (!queued) return null;
  const taken = await state.maintenanceRun.updateMany({
    where: { id: queued.id, state: 'queued' },
    data: { state: 'running', startedAt: now },
  });
  return taken.count === 1 ? { id: queued.id, tableName: queued.tableName } : null;
}

/** Runs whose process died are over. */
export async function giveUpLostRuns(state: State, now: Date): Promise<void> {
  const error = new DailiesError('cancelled', 'The process that did it ended before it was done.').toJSON();
  await state.maintenanceRun.updateMany({
    where: { state: 'running', startedAt: { lt: new Date(now.getTime() - 3_600_000) } },
    data: { state: 'failed', endedAt: now, error: asJson(error) },
  });
}
