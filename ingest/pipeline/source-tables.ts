import { DailiesError, type ErrorRecord } from '#catalog/error.ts';
import { schemaFingerprint } from '#catalog/schemas/schema.ts';
import type { State } from '#catalog/state/state.ts';
import { asJson, noJson } from '#catalog/state/stored-json.ts';
import type { SnapshotProgress } from '../log.ts';
import type { ChangesRequest, DiscoveredTable, RequestedTable } from '../source.ts';

/**
 * Brings a source's table rows up to what was discovered, and decides which tables need a snapshot: those that never had
 * one that finished, and those that were set aside and missed changes. A snapshot that is needed gets the next
 * generation; a chunked one that the log holds a part of goes on with its own, after that part. `setAside` are tables that
 * failed in the stream; `held` tells of a table's snapshot in the log, so that one that finished just before a crash is
 * not taken again. Durable when resolved.
 */
export async function planTables(
  state: State,
  source: string,
  discovered: readonly DiscoveredTable[],
  options: {
    isLogEmpty: boolean;
    /** False where a table has nothing to be read again, so that one that has begun is whole for ever. */
    hasSnapshots: boolean;
    setAside: ReadonlyMap<string, ErrorRecord>;
    held(table: string): Promise<SnapshotProgress | null>;
  },
): Promise<ChangesRequest['tables']> {
  const rows = await state.sourceTable.findMany({ where: { sourceName: source } });
  const rowOf = new Map(rows.map((row) => [row.name, row]));
  const request = new Map<string, RequestedTable>();
  const writes: ReturnType<State['sourceTable']['upsert'] | State['sourceTable']['deleteMany']>[] = [];

  for (const table of discovered) {
    const row = rowOf.get(table.name);
    rowOf.delete(table.name);
    const error = options.setAside.get(table.name) ?? refusalOf(source, table);
    const schema = asJson(table.schema);
    const where = { sourceName_name: { sourceName: source, name: table.name } };
    if (error) {
      const failed = { state: 'failed', lastError: asJson(error), schema };
      writes.push(
        state.sourceTable.upsert({
          where,
          create: { sourceName: source, name: table.name, ...failed },
          update: failed,
        }),
      );
      continue;
    }
    const held = await options.held(`${source}.${table.name}`);
    const hasBegun = row !== undefined && row.state !== 'snapshotting' && !options.hasSnapshots;
    // One that was set aside has missed changes: it begins anew.
    const isUnderWay =
      !options.isLogEmpty &&
      held !== null &&
      !held.isFinished &&
      held.generation === row?.generation &&
      row.state !== 'failed';
    const isWhole =
      hasBegun ||
      (!isUnderWay &&
        !options.isLogEmpty &&
        row !== undefined &&
        (row.state === 'running' ||
          (row.state === 'snapshotting' && held?.isFinished === true && held.generation >= row.generation)));
    // A table that has come back has none of what the log holds of it from before.
    const last = row?.generation ?? held?.generation ?? 0;
    const generation = last + (isWhole || isUnderWay ? 0 : 1);
    const cursor = isUnderWay ? (held.chunk?.cursor ?? null) : null;
    request.set(table.name, { snapshot: !isWhole, generation, cursor });
    const healthy = { state: isWhole ? 'running' : 'snapshotting', generation, lastError: noJson, schema };
    if (!row || differs(row, healthy.state, generation, table)) {
      writes.push(
        state.sourceTable.upsert({
          where,
          create: { sourceName: source, name: table.name, ...healthy },
          update: healthy,
        }),
      );
    }
  }
  if (rowOf.size > 0) {
    writes.push(state.sourceTable.deleteMany({ where: { sourceName: source, name: { in: [...rowOf.keys()] } } }));
  }
  await state.$transaction(writes);
  return request;
}

/** Asks for a new snapshot of the tables, durably: the source takes it once one under way has ended, or when it starts again. */
export async function wishSnapshots(state: State, source: string, tables: readonly string[]): Promise<void> {
  await state.sourceTable.updateMany({
    where: { sourceName: source, name: { in: [...tables] }, state: { in: ['running', 'snapshotting'] } },
    // The next generation, so that a snapshot that the log holds, whole or not, is not taken for the one asked for.
    data: { state: 'snapshotting', generation: { increment: 1 } },
  });
}

function refusalOf(source: string, table: DiscoveredTable): ErrorRecord | null {
  if (table.refusal === null) return null;
  const name = `${source}.${table.name}`;
  const message = table.refusal.includes(table.name) ? table.refusal : `${name}: ${table.refusal}`;
  return new DailiesError('type_unsupported', message, { details: { table: name } }).toJSON();
}

function differs(
  row: { state: string; generation: number; lastError: unknown; schema: unknown },
  state: string,
  generation: number,
  table: DiscoveredTable,
): boolean {
  return (
    row.state !== state ||
    row.generation !== generation ||
    row.lastError !== null ||
    row.schema === null ||
    schemaFingerprint(row.schema as never) !== schemaFingerprint(table.schema)
  );
}
