import { DailiesError } from '#catalog/error.ts';
import type { SourcePosition } from '../event.ts';
import type { Log } from '../log.ts';
import type { Sink } from '../sink.ts';
import { ofTable } from './refused-tables.ts';

export interface StartPlace {
  /** First offset of the topic that this table takes. */
  from: number;
  /** True until a snapshot of the table begins: what comes before it belongs to rows that the target does not hold. */
  awaitsSnapshot: boolean;
}

export interface StartRequest {
  log: Log;
  source: string;
  /** Names a table's way through these steps to this target. */
  groupOf(table: string): string;
  /** False for a group of this pipeline whose table or target it has no more. */
  isStillTaken(group: string): boolean;
  /** Groups of this pipeline begin so. */
  groupPrefix: string;
  /** Tables of this source, source.schema.table. */
  tables: readonly string[];
  sink: Sink;
  /** A person asked to go on: where the log no longer reaches back, tables are snapshotted again. */
  isResumed: boolean;
  /** False where the source's tables cannot be read again: what the log holds is all that there is. */
  hasSnapshots: boolean;
  /** True where the source is about to take a snapshot of the table, or takes one. */
  isSnapshotDue(table: string): Promise<boolean>;
  /** Of a table whose rows are to come anew: the record after which their snapshot has to begin. Null for others. */
  anewAfter(table: string): number | null;
  requestSnapshots(tables: readonly string[]): Promise<void>;
}

/**
 * Where each table of a lane goes on, without gap or doubling: after what the sink holds, else at the table's snapshot
 * in the log, else at a new snapshot, which is asked for. Rows that went through other steps are snapshotted again.
 * Throws `not_found` where retention has passed what is needed, unless resumed.
 */
export async function startPlaces(request: StartRequest, signal: AbortSignal): Promise<Map<string, StartPlace>> {
  const { log, source, sink } = request;
  const groups = await log.groups(source);
  const ours = [...groups.keys()].filter((name) => name.startsWith(request.groupPrefix));
  const left = ours.filter((name) => !request.isStillTaken(name));
  const extent = await log.extent(source);
  const places = new Map<string, StartPlace>();
  const wanted: string[] = [];

  for (const table of request.tables) {
    const group = request.groupOf(table);
    const others = ours.filter((name) => name !== group && isSameWay(name, group));
    const hasOtherSteps = others.length > 0 && !groups.has(group);
    left.push(...others);
    const held = (await ofTable(table, () => sink.writtenUpTo(table, signal)))?.[source];
    // The sink may skip commits that only move the position; the group tells that nothing was in between.
    const from = held ? Math.max(held.offset + 1, groups.get(group) ?? 0) : null;
    const isReset = held !== undefined && !(await isInLog(request, held, extent, signal));
    const anewAfter = request.anewAfter(table);
    const isAnew = anewAfter !== null;
    if (from !== null && !isReset && !hasOtherSteps && !isAnew && from >= extent.first) {
      places.set(table, { from, awaitsSnapshot: false });
      continue;
    }
    if (!request.hasSnapshots && !(from !== null && !isReset && from < extent.first && !request.isResumed)) {
      places.set(table, await placeWithoutSnapshot(request, table, isReset ? null : from, extent.first));
      continue;
    }
    const isPassed = from !== null && !isReset && !hasOtherSteps;
    // One that has come back after a while is no slow one: nobody has to be asked.
    if (isPassed && groups.has(group) && !request.isResumed && !isAnew)
      throw needsSnapshot(request, table, from, extent.first);
    const mustBeNew = hasOtherSteps || isPassed || isAnew;
    const isDue = await request.isSnapshotDue(table);
    const snapshot = await log.snapshotOf(source, table);
    const isUsable = snapshot !== null && (isAnew ? snapshot.offset > anewAfter : !(mustBeNew && snapshot.isFinished));
    if (isUsable) {
      places.set(table, { from: snapshot.offset, awaitsSnapshot: true });
      continue;
    }
    places.set(table, { from: extent.next, awaitsSnapshot: true });
    const progress = await log.snapshotProgress(source, table);
    // Retention has passed the begin of one that is under way: the next one is waited for.
    const isBeginPassed = progress !== null && !progress.isFinished;
    if (mustBeNew || !isDue || isBeginPassed) wanted.push(table);
  }

  if (wanted.length > 0) await request.requestSnapshots(wanted);
  // From here on the log keeps what this lane needs, and the next start knows these steps.
  const needs = [...places].map(([table, { from }]) => [request.groupOf(table), Math.max(from, extent.first)] as const);
  await log.commitGroups(source, new Map(needs));
  for (const name of left) await log.removeGroup(source, name);
  return places;
}

/** After what the target holds, with whatever steps; else from where the table began, or as far back as the log goes. */
async function placeWithoutSnapshot(
  { log, source, isSnapshotDue }: StartRequest,
  table: string,
  from: number | null,
  first: number,
): Promise<StartPlace> {
  if (from !== null) return { from: Math.max(from, first), awaitsSnapshot: false };
  const begin = await log.snapshotOf(source, table);
  if (begin) return { from: begin.offset, awaitsSnapshot: true };
  return { from: first, awaitsSnapshot: await isSnapshotDue(table) };
}

/** True for groups of one table on its way to one target; what follows the last slash names the steps. */
function isSameWay(a: string, b: string): boolean {
  return a.slice(0, a.lastIndexOf('/')) === b.slice(0, b.lastIndexOf('/'));
}

/** False where the log was lost and began anew, so that its offsets are others now. What is trimmed is taken for the same. */
async function isInLog(
  { log, source }: StartRequest,
  held: { offset: number; position: SourcePosition },
  extent: { first: number; next: number },
  signal: AbortSignal,
): Promise<boolean> {
  if (held.offset >= extent.next) return false;
  if (held.offset < extent.first) return true;
  try {
    for await (const record of log.read(source, held.offset, signal)) return record.position === held.position;
  } catch (thrown) {
    // Trimmed since the extent was asked for.
    if (!(thrown instanceof DailiesError && thrown.code === 'not_found')) throw thrown;
  }
  return true;
}

function needsSnapshot(request: StartRequest, table: string, from: number, first: number): DailiesError {
  return new DailiesError(
    'not_found',
    `Needs a snapshot: the log of ${request.source} no longer holds what ${table} has not landed yet. Resume the pipeline to take the table's snapshot again; until then the table stays as it is.`,
    { details: { table, offset: from, first } },
  );
}
