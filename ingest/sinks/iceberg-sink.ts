import { DailiesError } from '#catalog/error.ts';
import type { MaintainedTable, MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import type { Turns } from '#catalog/iceberg/maintenance/turns.ts';
import { recordTable } from '#catalog/iceberg/tables/record-table.ts';
import type { TableCatalog } from '#catalog/iceberg/tables/table-catalog.ts';
import { ownName, targetName } from '#catalog/iceberg/tables/table-name.ts';
import { type Alongside, commitPrepared, commitTables } from '#catalog/iceberg/write/commit.ts';
import { isWhole } from '#catalog/iceberg/write/staged-rows.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Schema } from '#catalog/schemas/schema.ts';
import type { State } from '#catalog/state/state.ts';
import type { SnapshotRows, TableChanges } from '../event.ts';
import type { PipelinePosition, Sink, SinkCommit } from '../sink.ts';
import { type ChangeCounter, ChangeLog } from './iceberg-changes.ts';
import { refuseNames } from './iceberg-names.ts';
import { partitionOf } from './iceberg-partition.ts';
import { lackingValues } from './lacking-values.ts';
import type { CommittedChanges } from './last-rows.ts';
import { appendSnapshotRows, applyKeyed, applyKeyless } from './mirror-changes.ts';
import { movedColumns, withoutFormerNames } from './moved-columns.ts';
import { recordLanded } from './record-landed.ts';

export interface IcebergSinkDeps {
  /** Name of the pipeline that owns the tables. */
  pipeline: string;
  /** The person who is told when the pipeline needs one. */
  owner: string | null;
  /** Tables that flow in, source.schema.table. */
  sourceTables: readonly string[];
  catalog: TableCatalog;
  state: State;
  /** Folder of the key indexes. */
  indexDir: string;
  now: () => Date;
  /** Where tables are made known to maintenance; none: they are not maintained. */
  maintained?: MaintainedTables;
}

interface IcebergSinkConfig {
  /** namespace.table; `{table}` stands for the source table's name. */
  table: string;
  mode: 'mirror' | 'changes';
  formatVersion?: 2 | 3 | undefined;
  /** `month(released)`, `bucket(16, id)`, … */
  partition: readonly string[];
  /** Table properties. */
  properties: Readonly<Record<string, string>>;
}

const positionProperty = 'dailies.position';
/** Of a snapshot: the pipeline that made it. */
export const pipelineProperty = 'dailies.pipeline';
const epochProperty = 'dailies.epoch';
/** Only snapshots of tables of changes have these two. */
const modeProperty = 'dailies.mode';
const changeNumberProperty = 'dailies.change-number';

interface Target {
  /** Counts the writers that the table has had: two at once can be told apart in its history. */
  epoch: number;
  /** source.schema.table */
  source: string;
  writer: TableWriter;
  /** Null where the table mirrors its source. */
  changes: ChangeLog | null;
  /** Schema id whose columns the catalog's pages have; null before this sink's first commit. */
  recordedSchemaId: number | null;
  maintained: MaintainedTable;
}

/**
 * The tables of one pipeline. Staged rows wait in each table's writer; `commit` makes one snapshot of each table that
 * changed and moves all pointers in one transaction. After an error the sink is spent and is opened anew.
 */
export class IcebergSink implements Sink {
  readonly #config: IcebergSinkConfig;
  readonly #deps: IcebergSinkDeps & { turns: Turns };
  readonly #targets = new Map<string, Target>();
  readonly #changeCounter: ChangeCounter = { last: 0n };

  constructor(config: IcebergSinkConfig, deps: IcebergSinkDeps & { turns: Turns }) {
    this.#config = config;
    this.#deps = deps;
    this.#refuseSharedTargets();
  }

  get keepsChanges(): boolean {
    return this.#config.mode === 'changes';
  }

  target(table: string): { kind: string; target: string } {
    return { kind: 'iceberg', target: this.#targetName(table) };
  }

  async writtenUpTo(table: string, signal: AbortSignal): Promise<PipelinePosition | null> {
    const { writer } = await this.#open(table, signal);
    return positionOf(writer, this.#deps.pipeline);
  }

  async beginSnapshot(table: string, schema: Schema, signal: AbortSignal): Promise<void> {
    const target = await this.#open(table, signal);
    refuseNames(table, schema);
    if (!target.changes) {
      await target.writer.snapshots.beginReplacement(schema);
      return;
    }
    if (target.changes.isSnapshotOpen) await this.#forget(target);
    const { changes } = await this.#open(table, signal);
    await changes?.beginSnapshot(schema);
  }

  async beginChunks(table: string, schema: Schema, generation: number, signal: AbortSignal): Promise<void> {
    refuseNames(table, schema);
    const known = await this.#open(table, signal);
    if (known.changes?.isSnapshotOpen) await this.#forget(known);
    const { writer, changes } = await this.#open(table, signal);
    if (changes) await changes.beginChunks(schema, generation);
    else await writer.snapshots.beginChunks(generation, schema);
  }

  async chunkedGeneration(table: string, signal: AbortSignal): Promise<number | null> {
    return (await this.#open(table, signal)).writer.snapshots.chunkedGeneration;
  }

  async lacking(changes: TableChanges, signal: AbortSignal, isReplayed = false): Promise<number[]> {
    const target = await this.#open(changes.table, signal);
    if (target.changes || (target.writer.snapshots.chunkedGeneration === null && !isReplayed)) return [];
    // Of what replaces the table nothing is there yet.
    if (target.writer.snapshots.isReplacing)
      return changes.events.flatMap(({ after }, index) => (after && !isWhole(after) ? [index] : []));
    await target.writer.evolve(changes.schema);
    return await lackingValues(changes, target.writer);
  }

  async write(changes: TableChanges, signal: AbortSignal): Promise<void> {
    const target = await this.#open(changes.table, signal);
    if (target.changes) {
      refuseNames(changes.table, changes.schema);
      await target.changes.append(changes);
      return;
    }
    const { writer } = target;
    if (writer.snapshots.isReplacing) {
      await appendSnapshotRows(writer, changes);
      return;
    }
    refuseNames(changes.table, changes.schema);
    if (changes.events.length === 0) {
      const { renames, fresh } = movedColumns(changes.table, writer.schema, changes.schema);
      await writer.evolve(withoutFormerNames(changes.schema), { renames, fresh, isReadAgain: true });
      return;
    }
    await writer.evolve(changes.schema);
    const isKeyless = changes.schema.key.length === 0;
    for (const event of changes.events) {
      if (isKeyless) await applyKeyless(writer, event);
      else await applyKeyed(writer, event, changes.table);
    }
  }

  async writeFile({ table, schema, rows, parquet }: SnapshotRows, signal: AbortSignal): Promise<boolean> {
    const { writer, changes } = await this.#open(table, signal);
    if (changes) return false;
    if (writer.snapshots.isReplacing || writer.snapshots.chunkedGeneration === null)
      return await writer.snapshots.appendReplacementFile(parquet, rows);
    refuseNames(table, schema);
    await writer.evolve(schema);
    return await writer.snapshots.appendChunkFile(parquet, rows);
  }

  async endSnapshot(table: string, signal: AbortSignal): Promise<void> {
    const { writer, changes } = await this.#open(table, signal);
    if (changes) await changes.endSnapshot();
    else if (writer.snapshots.chunkedGeneration !== null && !writer.snapshots.isReplacing)
      await writer.snapshots.endChunks();
    else await writer.snapshots.endReplacement();
  }

  async commit(position: PipelinePosition, signal: AbortSignal): Promise<SinkCommit[]> {
    signal.throwIfAborted();
    const changed = [...this.#targets.values()].filter(
      ({ writer, changes }) => writer.hasChanges && !writer.snapshots.isReplacing && !changes?.isSnapshotOpen,
    );
    if (changed.length === 0) return [];
    const summary = {
      [positionProperty]: JSON.stringify(position),
      [pipelineProperty]: this.#deps.pipeline,
      [epochProperty]: String(Math.max(...changed.map(({ epoch }) => epoch))),
      ...(this.#config.mode === 'changes'
        ? { [modeProperty]: 'changes', [changeNumberProperty]: String(this.#changeCounter.last) }
        : {}),
    };
    const { catalog } = this.#deps;
    const writers = changed.map(({ writer }) => writer);
    // THE COMMIT POINT.
    const prepared = await commitTables(catalog, writers, summary, this.#record(freshness(position), true));
    for (const { changes } of changed) await changes?.settle();
    const commits = changed.map(({ source }, index) => ({
      table: source,
      rows: prepared[index]?.rows ?? 0n,
      snapshotId: prepared[index]?.built.snapshot['snapshot-id'] ?? null,
    }));
    return commits;
  }

  async close(): Promise<void> {
    const targets = [...this.#targets.values()];
    this.#targets.clear();
    for (const target of targets) await this.#close(target);
  }

  async #open(table: string, signal: AbortSignal): Promise<Target> {
    signal.throwIfAborted();
    const known = this.#targets.get(table);
    if (known) return known;
    const { catalog, indexDir, now, state, pipeline, owner } = this.#deps;
    const { formatVersion = null, partition, properties } = this.#config;
    const writer = await TableWriter.open(
      this.#targetName(table),
      { catalog, indexDir, now },
      { formatVersion, partition: partitionOf(partition), properties },
    );
    const epoch = Number(writer.summaryValue(epochProperty) ?? 0) + 1;
    const maintained: MaintainedTable = {
      name: writer.name,
      writer,
      isAtRest: () => isAtRest(target),
      inTurn: (work, turn) => this.#deps.turns.between(() => isAtRest(target), work, turn),
      commit: (prepared) => commitPrepared(catalog, [{ writer, prepared }], this.#record(null, false)),
    };
    const target: Target = { epoch, source: table, writer, changes: null, recordedSchemaId: null, maintained };
    this.#targets.set(table, target);
    this.#deps.maintained?.add(maintained);
    refuseOtherMode(writer, this.#config.mode);
    if (this.#config.mode === 'changes') {
      const last = BigInt(writer.summaryValue(changeNumberProperty) ?? 0);
      if (last > this.#changeCounter.last) this.#changeCounter.last = last;
      target.changes = new ChangeLog(table, writer, this.#changeCounter, {
        indexDir,
        committed: () => committedChanges(catalog, writer),
      });
    }
    const position = positionOf(writer, pipeline);
    if (position && catalog.kind === 'external' && !writer.snapshots.isUnfinished) {
      await recordLanded(writer, { state, pipeline, owner, source: table, freshAsOf: freshness(position), now });
    }
    return target;
  }

  /** Voids what is staged for the table: it is opened anew when it is next needed. */
  async #forget(target: Target): Promise<void> {
    this.#targets.delete(target.source);
    await this.#close(target);
  }

  async #close({ writer, changes, maintained }: Target): Promise<void> {
    await this.#deps.maintained?.remove(maintained);
    await changes?.close();
    await writer.close();
  }

  #record(freshAsOf: Date | null, hasNewRows: boolean): Alongside {
    return async (tx, commits) => {
      for (const { writer, prepared } of commits) {
        const target = [...this.#targets.values()].find((candidate) => candidate.writer === writer);
        // What people see of a table begins with the end of its first snapshot.
        if (!target || writer.snapshots.isUnfinished) continue;
        const { iceberg } = prepared;
        await recordTable(tx, {
          name: writer.name,
          pipeline: this.#deps.pipeline,
          owner: this.#deps.owner,
          source: target.source,
          schema: prepared.schema,
          iceberg,
          rows: prepared.rows,
          snapshotId: prepared.built.snapshot['snapshot-id'],
          freshAsOf,
          committedAt: this.#deps.now(),
          hasNewRows,
          hasNewColumns: target.recordedSchemaId !== iceberg['schema-id'],
        });
        target.recordedSchemaId = iceberg['schema-id'];
      }
    };
  }

  #targetName(table: string): string {
    return targetName(this.#config.table, ownName(table));
  }

  #refuseSharedTargets(): void {
    const sources = new Map<string, string>();
    for (const table of this.#deps.sourceTables) {
      const target = this.#targetName(table);
      const other = sources.get(target);
      if (other !== undefined) {
        throw new DailiesError(
          'definition_invalid',
          `${other} and ${table} would both land in ${target}. Name the target with {table}, as in "production.{table}".`,
          { details: { table: target } },
        );
      }
      sources.set(target, table);
    }
  }
}

async function committedChanges(catalog: TableCatalog, writer: TableWriter): Promise<CommittedChanges | null> {
  const { metadata } = writer;
  const metadataLocation = metadata && (await catalog.locate(writer.name, 'all'));
  if (!metadata || metadataLocation === null) return null;
  const upTo = BigInt(writer.summaryValue(changeNumberProperty) ?? 0);
  return { uuid: metadata['table-uuid'], metadataLocation, upTo };
}

/** The position that the table holds. What another pipeline landed under its name says nothing of ours: a snapshot will replace it. */
function positionOf(writer: TableWriter, pipeline: string): PipelinePosition | null {
  if (!writer.exists || writer.summaryValue(pipelineProperty) !== pipeline) return null;
  const position = writer.summaryValue(positionProperty);
  return position === null ? null : (JSON.parse(position) as PipelinePosition);
}

/** Nothing of the table is staged, nor on its way. */
function isAtRest({ writer, changes }: Target): boolean {
  return !writer.hasChanges && !writer.snapshots.isReplacing && !changes?.isSnapshotOpen;
}

function freshness(position: PipelinePosition): Date | null {
  const times = Object.values(position).map(({ timeMicros }) => BigInt(timeMicros));
  const oldest = times.reduce<bigint | null>((least, time) => (least === null || time < least ? time : least), null);
  return oldest === null ? null : new Date(Number(oldest / 1000n));
}

/** A table holds rows or changes: what one mode landed is not to be lost by the other. */
function refuseOtherMode(writer: TableWriter, mode: IcebergSinkConfig['mode']): void {
  if (!writer.exists || writer.rows === 0n) return;
  const held = writer.summaryValue(modeProperty) === 'changes' ? 'changes' : 'mirror';
  if (held === mode) return;
  throw new DailiesError(
    'definition_invalid',
    held === 'changes'
      ? `${writer.name} holds the changes of a table, which its rows would replace. Let the rows land in a table of another name.`
      : `${writer.name} holds rows, not changes. Let the changes go to a table of another name.`,
    { details: { table: writer.name } },
  );
}
