import { setImmediate } from 'node:timers/promises';
import { keyIndexes, type Schema } from '#catalog/schemas/schema.ts';
import { type BatchItem, schemaOf, tableOf } from '../event.ts';
import type { Log, LogRecord } from '../log.ts';
import { withoutFormerNames } from '../sinks/moved-columns.ts';
import { LaneReplay, type ReplayedTable } from './lane-replay.ts';
import type { ReplayKey } from './replay-key.ts';
import type { StartPlace } from './start-places.ts';

export interface ReplayWish {
  /** Changes before this instant are left out; null for all that the log holds. */
  fromMicros: bigint | null;
  key: ReplayKey | null;
}

const recordsAtOnce = 500;

/**
 * What a lane applies again: of each table what the log holds from the instant on, up to where the lane stands. Where the
 * table's newest snapshot begins later than that, from there: what came before it says nothing of the rows any more. A
 * table without a key only comes whole, from its snapshot. Null where there is nothing.
 */
export async function planReplay(
  log: Log,
  source: string,
  starts: ReadonlyMap<string, StartPlace>,
  wish: ReplayWish,
  signal: AbortSignal,
): Promise<LaneReplay | null> {
  const { first } = await log.extent(source);
  const ends = new Map(
    [...starts].flatMap(([table, { from, awaitsSnapshot }]) =>
      awaitsSnapshot || from <= first ? [] : [[table, from]],
    ),
  );
  const until = Math.max(0, ...ends.values());
  const since =
    wish.fromMicros === null ? null : await findTime(log, source, wish.fromMicros, { first, until }, signal);
  if (wish.fromMicros !== null && since === null) return null;
  const from = since?.from ?? first;
  const shapes = await shapesAt(log, source, ends, from);
  const tables = new Map<string, ReplayedTable>();
  for (const [table, end] of ends) {
    const shape = shapes.get(table);
    const snapshot = await log.snapshotOf(source, table);
    const isFromSnapshot = snapshot !== null && snapshot.offset >= from && snapshot.offset < end;
    if (!shape || (shape.key.length === 0 && !(isFromSnapshot && wish.key === null))) continue;
    if (wish.key && !wish.key.fits(keyIndexes(shape).length)) continue;
    tables.set(table, { from: isFromSnapshot ? snapshot.offset : from, until: end, shape, isFromSnapshot });
  }
  if (tables.size === 0) return null;
  const leftOut = since && { timeMicros: since.timeMicros, firstOffset: since.offset };
  return new LaneReplay({ tables, since: leftOut, key: wish.key });
}

/**
 * The first record that brings changes of this instant or later, and where its transaction begins. Clocks go back: what
 * comes after it comes with it, whatever its time.
 */
async function findTime(
  log: Log,
  source: string,
  timeMicros: bigint,
  { first, until }: { first: number; until: number },
  signal: AbortSignal,
): Promise<{ from: number; offset: number; timeMicros: bigint } | null> {
  let from = first;
  for await (const record of recordsOf(log, source, first, until, signal)) {
    if (record.timeMicros >= timeMicros && record.isComplete) return { from, offset: record.offset, timeMicros };
    if (record.isComplete) from = record.offset + 1;
  }
  return null;
}

/** Each table's shape where its lane stands; none for a table that the log holds nothing of since `from`. */
async function shapesAt(
  log: Log,
  source: string,
  ends: ReadonlyMap<string, number>,
  from: number,
): Promise<Map<string, Schema>> {
  const shapes = new Map<string, Schema>();
  let count = 0;
  for await (const record of log.recent(source)) {
    if (record.offset < from || shapes.size === ends.size) break;
    count += 1;
    if (count % recordsAtOnce === 0) await setImmediate();
    const wanted = record.tables.filter((table) => !shapes.has(table) && record.offset < (ends.get(table) ?? 0));
    if (wanted.length === 0) continue;
    for (const item of record.batch(new Set(wanted)).items) {
      const schema = schemaOf(item);
      // The last item of a table in the record is its newest.
      if (schema) shapes.set(tableOf(item), withoutFormerNames(schema));
    }
  }
  return shapes;
}

/** When the oldest change that the log holds of any of these tables was made; null for none. */
export async function oldestChange(
  log: Log,
  source: string,
  tables: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<bigint | null> {
  const { first, next } = await log.extent(source);
  for await (const record of recordsOf(log, source, first, next, signal)) {
    const wanted = record.tables.filter((table) => tables.has(table));
    if (wanted.length === 0) continue;
    const times = record.batch(new Set(wanted)).items.map((item) => timeOf(item) ?? record.timeMicros);
    if (times.length > 0) return times.reduce((least, time) => (time < least ? time : least));
  }
  return null;
}

function timeOf(item: BatchItem): bigint | null {
  return item.kind === 'changes' ? (item.changes.transactions[0]?.timeMicros ?? null) : null;
}

/** The records from `from` to before `until`; lets others have their turn in between. */
async function* recordsOf(
  log: Log,
  source: string,
  from: number,
  until: number,
  signal: AbortSignal,
): AsyncGenerator<LogRecord> {
  if (from >= until) return;
  for await (const record of log.read(source, from, signal)) {
    yield record;
    if (record.offset + 1 >= until) return;
    if (record.offset % recordsAtOnce === 0) await setImmediate();
  }
}
