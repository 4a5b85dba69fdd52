import type { State } from '#catalog/state/state.ts';
import { asJson, noJson } from '#catalog/state/stored-json.ts';
import type { BatchItem, TableChanges } from '../event.ts';
import type { SnapshotProgress } from '../log.ts';
import type { ChangesRequest } from '../source.ts';
import { SnapshotRate } from './snapshot-rate.ts';
import { wishSnapshots } from './source-tables.ts';

interface UnderWay {
  generation: number;
  /** False until its first record is durable. */
  hasBegun: boolean;
  isChunked: boolean;
  startedAt: Date;
  rate: SnapshotRate;
}

/** The snapshots of one source: those under way with their progress, and those that are wanted. Tables are schema.table. */
export class SourceSnapshots {
  readonly #state: State;
  readonly #source: string;
  readonly #now: () => Date;
  readonly #underWay = new Map<string, UnderWay>();
  /** Tables that wait for a snapshot until the source's loop starts again. */
  readonly #wanted = new Set<string>();
  #isChanged = false;

  constructor(deps: { state: State; source: string; now: () => Date }) {
    this.#state = deps.state;
    this.#source = deps.source;
    this.#now = deps.now;
  }

  get isIdle(): boolean {
    return this.#underWay.size === 0;
  }

  /** True while one is under way that would have to begin again: the source's loop goes on until it has ended. */
  get isBound(): boolean {
    return [...this.#underWay.values()].some(({ hasBegun, isChunked }) => hasBegun && !isChunked);
  }

  /** True if a wish waits that can be taken up now. */
  get isDue(): boolean {
    return !this.isBound && [...this.#wanted].some((table) => !this.#underWay.has(table));
  }

  /** Before the tables are planned: the wishes so far are in what is read of them. */
  beginPlan(): void {
    this.#wanted.clear();
  }

  /** What the source was asked for. `held` tells of source.schema.table how far a chunked snapshot has come that goes on. */
  async plan(
    tables: ChangesRequest['tables'],
    held: (table: string) => Promise<SnapshotProgress | null>,
  ): Promise<void> {
    const rows = await this.#state.sourceTable.findMany({
      where: { sourceName: this.#source },
      select: { name: true, snapshot: true },
    });
    const storedOf = new Map(rows.map((row) => [row.name, row.snapshot]));
    this.#underWay.clear();
    for (const [table, { snapshot, generation, cursor }] of tables) {
      if (!snapshot) continue;
      const chunk = cursor === null ? null : ((await held(`${this.#source}.${table}`))?.chunk ?? null);
      const startedAt = chunk ? startOf(storedOf.get(table)) : null;
      this.#underWay.set(table, {
        generation,
        hasBegun: chunk !== null,
        isChunked: chunk !== null,
        startedAt: startedAt ?? this.#now(),
        rate: new SnapshotRate(chunk?.rows ?? 0, chunk?.estimatedRows ?? null),
      });
    }
  }

  /**
   * Wishes new snapshots of these tables. Durable when resolved. One that is under way is finished first; one that has yet
   * to begin is what is wished.
   */
  async wish(tables: readonly string[]): Promise<void> {
    const fresh = tables.filter((table) => !this.#wanted.has(table) && this.#underWay.get(table)?.hasBegun !== false);
    if (fresh.length === 0) return;
    for (const table of fresh) this.#wanted.add(table);
    await wishSnapshots(this.#state, this.#source, fresh);
  }

  /** Takes note of wishes that others have stored: of these tables, whose rows say so, those that nobody sees to. */
  async hear(tables: readonly string[]): Promise<void> {
    const unseen = tables.filter((table) => !this.#wanted.has(table) && !this.#underWay.has(table));
    if (unseen.length === 0) return;
    // What was read a moment ago may be from before the end of its snapshot.
    const rows = await this.#state.sourceTable.findMany({
      where: { sourceName: this.#source, name: { in: unseen }, state: 'snapshotting' },
      select: { name: true },
    });
    for (const { name } of rows) if (!this.#underWay.has(name)) this.#wanted.add(name);
  }

  /** An item is durable in the log. True where a snapshot ended with it. */
  async follow(item: BatchItem, table: string): Promise<boolean> {
    switch (item.kind) {
      case 'snapshot-begin': {
        const isAsked = this.#underWay.has(table);
        this.#underWay.set(table, {
          generation: item.generation,
          hasBegun: true,
          isChunked: item.isChunked,
          startedAt: this.#now(),
          rate: new SnapshotRate(0, null),
        });
        if (!isAsked) await this.#update(table, item.generation, { state: 'snapshotting' });
        this.#isChanged = true;
        return false;
      }
      case 'snapshot-rows':
        this.#count(table, item.snapshotRows.rows);
        return false;
      case 'changes':
        // Rows of a snapshot that is not in files; while none is under way a change costs nothing here.
        if (this.#underWay.has(table)) this.#count(table, rowsRead(item.changes));
        return false;
      case 'snapshot-chunk':
        this.#underWay.get(table)?.rate.set(item.rows, item.estimatedRows, this.#now().getTime());
        this.#isChanged = true;
        return false;
      case 'snapshot-end':
        await this.#update(table, item.generation, {
          // A wish that came meanwhile has given the table another generation.
          state: 'running',
          rows: BigInt(item.rows),
          snapshot: noJson,
          lastError: noJson,
        });
        this.#underWay.delete(table);
        return true;
    }
  }

  /** Stores how far the snapshots under way are. */
  async write(): Promise<void> {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const nowMs = this.#now().getTime();
    for (const [table, { generation, hasBegun, startedAt, rate }] of this.#underWay) {
      if (!hasBegun) continue;
      const snapshot = asJson({ ...rate.at(nowMs), startedAt: startedAt.toISOString() });
      await this.#state.sourceTable.updateMany({
        // One that has ended meanwhile is told to be under way no more; one that is wished again still is.
        where: { sourceName: this.#source, name: table, generation: { gte: generation }, state: 'snapshotting' },
        data: { snapshot },
      });
    }
  }

  #count(table: string, rows: number): void {
    const underWay = this.#underWay.get(table);
    if (!underWay || rows === 0) return;
    underWay.rate.add(rows, this.#now().getTime());
    this.#isChanged = true;
  }

  async #update(
    table: string,
    generation: number,
    data: Parameters<State['sourceTable']['updateMany']>[0]['data'],
  ): Promise<void> {
    await this.#state.sourceTable.updateMany({ where: { sourceName: this.#source, name: table, generation }, data });
  }
}

function startOf(stored: unknown): Date | null {
  const text = (stored as { startedAt?: unknown } | null)?.startedAt;
  return typeof text === 'string' ? new Date(text) : null;
}

function rowsRead({ events }: TableChanges): number {
  return events.reduce((sum, { op }) => sum + (op === 'r' ? 1 : 0), 0);
}
