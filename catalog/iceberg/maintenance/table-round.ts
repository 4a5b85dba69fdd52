import { DailiesError, type ErrorRecord, toDailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { maintenanceSettings } from '../metadata/table-properties.ts';
import type { TableCatalog } from '../tables/table-catalog.ts';
import { type CompactionResult, compactTable } from './compact-table.ts';
import { type ExpiryResult, expireTable } from './expire-table.ts';
import type { MaintainedTable } from './maintained-tables.ts';
import { type MaintenanceResult, readFigures, recordFigures, recordRun } from './maintenance-records.ts';
import { removeOrphans } from './remove-orphans.ts';
import { tableFigures } from './table-figures.ts';

export interface RoundDeps {
  catalog: TableCatalog;
  state: State;
  now: () => Date;
}

/** Snapshots are looked through, and what was done is recorded, this often. */
const expiryEveryMs = 60_000;
/** The same for a table that has not changed since. */
const idleEveryMs = 10 * 60_000;
/** After an error the table is left alone for so long. */
const restMs = 5 * 60_000;
/** Rewrites that one run may do when somebody asks for it. */
const maxRewrites = 200;

/** The maintenance of one table: what is due, and what has been done since it was last recorded. */
export class TableRound {
  readonly #deps: RoundDeps;
  readonly #name: string;
  #result: MaintenanceResult = {};
  #sinceMs: number | null = null;
  #expiredMs = 0;
  /** As of the last look at the history. */
  #expired: TableMetadata | null = null;
  #restUntilMs = 0;
  /** Null until the state database was asked. */
  #orphansAtMs: number | null = null;
  #looked: TableMetadata | null = null;

  constructor(deps: RoundDeps, name: string) {
    this.#deps = deps;
    this.#name = name;
  }

  /** Does what is due. A failure is recorded and does not come out of here, but for the end of the writer. */
  async step(table: MaintainedTable, signal: AbortSignal): Promise<void> {
    const nowMs = this.#nowMs();
    const entry = table.writer.entry;
    if (!entry) return;
    const { settings } = maintenanceSettings(entry.metadata.properties);
    if (!settings.isEnabled || nowMs < this.#restUntilMs) return;
    const startedAt = this.#deps.now();
    try {
      // Only a commit gives compaction anything to do.
      if (this.#looked !== entry.metadata) {
        const looked = entry.metadata;
        const isFree = table.isAtRest();
        const done = await compactTable(table, signal, { waits: false });
        if (done) this.#add({ compaction: done });
        else if (isFree) this.#looked = looked;
      }
      if (nowMs < (this.#expired === entry.metadata ? this.#expiredMs + idleEveryMs : this.#expiredMs + expiryEveryMs))
        return;
      this.#expiredMs = nowMs;
      await this.#expire();
      this.#expired = table.writer.entry?.metadata ?? null;
      if (nowMs >= (await this.#orphansDueMs(settings.orphanEveryMs))) await this.#removeOrphans(table, signal);
      await this.#record(startedAt, null);
    } catch (thrown) {
      if (signal.aborted) return;
      this.#restUntilMs = this.#nowMs() + restMs;
      await this.#record(startedAt, toDailiesError(thrown).toJSON());
    }
  }

  /** Does everything now, as somebody asked for; `table` is null where its writer is not here. Recorded as run `id`. */
  async run(id: string, table: MaintainedTable | null, signal: AbortSignal): Promise<void> {
    const startedAt = this.#deps.now();
    const earlier = this.#result;
    this.#result = {};
    let error: ErrorRecord | null = null;
    try {
      if (table) await this.#compactAll(table, signal);
      else this.#note('Files were not rewritten: that is done by the writer of the table, which does not run here.');
      await this.#expire();
      await this.#removeOrphans(table, signal);
    } catch (thrown) {
      if (signal.aborted) {
        // Somebody else does it, or this process when it is back.
        await this.#deps.state.maintenanceRun.update({ where: { id }, data: { state: 'queued', startedAt: null } });
        return;
      }
      error = toDailiesError(thrown).toJSON();
    }
    const result = this.#result;
    this.#result = earlier;
    await recordRun(this.#deps.state, {
      id,
      tableName: this.#name,
      startedAt,
      endedAt: this.#deps.now(),
      result,
      error,
    });
    await this.#recordFigures();
  }

  async #compactAll(table: MaintainedTable, signal: AbortSignal): Promise<void> {
    for (let count = 0; count < maxRewrites; count++) {
      const done = await compactTable(table, signal, { waits: true });
      if (!done) return;
      this.#add({ compaction: done });
    }
  }

  async #expire(): Promise<void> {
    const expiry = await expireTable(this.#deps, this.#name);
    if (expiry) this.#add({ expiry });
  }

  async #removeOrphans(table: MaintainedTable | null, signal: AbortSignal): Promise<void> {
    if (!table && (await this.#isWrittenElsewhere())) {
      this.#note('Files that nothing refers to were not looked for: the table is written by another process.');
      return;
    }
    this.#orphansAtMs = this.#nowMs();
    try {
      // Before the table is loaded: what is committed in between is in one of the two.
      const held = new Set(table?.writer.stagedLocations);
      this.#add({ orphans: await removeOrphans(this.#deps, this.#name, held, signal) });
    } catch (thrown) {
      if (!(thrown instanceof DailiesError) || thrown.code !== 'unsupported') throw thrown;
      this.#note(thrown.message);
    }
  }

  async #isWrittenElsewhere(): Promise<boolean> {
    const { state } = this.#deps;
    const row = await state.dataTable.findUnique({ where: { name: this.#name }, select: { pipeline: true } });
    if (!row?.pipeline) return false;
    return (await state.pipeline.count({ where: { name: row.pipeline, desired: 'running' } })) > 0;
  }

  async #orphansDueMs(everyMs: number): Promise<number> {
    if (this.#orphansAtMs === null) {
      const last = (await readFigures(this.#deps.state, this.#name))?.lastOrphans;
      // The first search comes a while after the table does.
      this.#orphansAtMs = last ? Date.parse(last) : this.#nowMs();
    }
    return this.#orphansAtMs + everyMs;
  }

  async #record(startedAt: Date, error: ErrorRecord | null): Promise<void> {
    const result = this.#result;
    const startMs = this.#sinceMs ?? startedAt.getTime();
    this.#result = {};
    this.#sinceMs = null;
    if (error || hasDone(result)) {
      const run = { id: null, tableName: this.#name, startedAt: new Date(startMs), endedAt: this.#deps.now() };
      await recordRun(this.#deps.state, { ...run, result, error });
    }
    await this.#recordFigures();
  }

  async #recordFigures(): Promise<void> {
    const { catalog, state } = this.#deps;
    const entry = await catalog.load(this.#name, 'all');
    if (!entry) return;
    const { settings } = maintenanceSettings(entry.metadata.properties);
    const orphansMs = this.#orphansAtMs;
    const isoOf = (ms: number) => new Date(ms).toISOString();
    await recordFigures(state, this.#name, {
      ...tableFigures(entry.metadata),
      nextDue: {
        expiry: settings.isEnabled ? isoOf(this.#nowMs() + expiryEveryMs) : null,
        orphans: settings.isEnabled && orphansMs !== null ? isoOf(orphansMs + settings.orphanEveryMs) : null,
      },
      lastOrphans: orphansMs === null ? null : isoOf(orphansMs),
    });
  }

  #add(done: MaintenanceResult): void {
    this.#sinceMs ??= this.#nowMs();
    const { compaction, expiry } = this.#result;
    this.#result = {
      ...this.#result,
      ...done,
      ...(done.compaction && compaction ? { compaction: sumOf(compaction, done.compaction) } : {}),
      ...(done.expiry && expiry
        ? { expiry: { ...sumOf(expiry, done.expiry), notes: [...expiry.notes, ...done.expiry.notes] } }
        : {}),
    };
  }

  #note(text: string): void {
    this.#result = { ...this.#result, notes: [...(this.#result.notes ?? []), text] };
  }

  #nowMs(): number {
    return this.#deps.now().getTime();
  }
}

function hasDone({ compaction, expiry, orphans, notes }: MaintenanceResult): boolean {
  return (
    compaction !== undefined || (expiry?.snapshots ?? 0) > 0 || (orphans?.removed ?? 0) > 0 || (notes?.length ?? 0) > 0
  );
}

function sumOf<T extends CompactionResult | ExpiryResult>(a: T, b: T): T {
  const entries = Object.entries(a).map(([key, value]) => [
    key,
    typeof value === 'number' ? value + Number(b[key as keyof T]) : value,
  ]);
  return Object.fromEntries(entries) as T;
}
