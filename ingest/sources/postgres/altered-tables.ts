import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { carriedColumns, readTables, type SourceTable } from './discovery.ts';
import type { RelationMessage } from './pgoutput.ts';
import { currentSnapshot, RecentTransactions } from './recent-transactions.ts';
import { serverHead } from './server-head.ts';
import { hasComeBack, imprintOf, isReadingOutdated } from './table-imprint.ts';
import type { ShapeContext } from './table-shape.ts';

/** Within this a commit is seen that waits for nobody, unless the server is busy. */
const soonMs = 300;
const againMs = 5;

/** A look at the catalogs, which may be ahead of the stream. */
interface Look {
  before: string;
  now: string;
  /** Once the stream has come there, it has announced all that the look has seen. */
  head: bigint;
}

/**
 * Which tables were altered so that their old rows read differently, where no event trigger tells of it: the catalogs are
 * asked whenever the stream announces a table.
 *
 * They may be ahead of the stream: what a table looked like (its imprint) is followed up only when the stream has come to
 * where it was looked at, so that what it was in between is compared with what it was before. And they may be behind: a commit
 * that waits for a standby (synchronous_standby_names) is told before anybody can see it; its tables are looked at again when
 * it is seen (`oweSeenLate`), and nothing waits for that longer than a moment.
 */
export class AlteredTables {
  readonly #control: pg.Client;
  readonly #context: ShapeContext;
  readonly #looks = new Map<string, Look>();
  readonly #unseen = new RecentTransactions();
  /** By object id, the columns that were announced, if any were. */
  readonly #late = new Map<number, RelationMessage['columns'] | null>();

  constructor(control: pg.Client, context: ShapeContext) {
    this.#control = control;
    this.#context = context;
  }

  /** Before the stream begins: commits that an earlier one may have told of, and that nobody has seen. */
  async noteWaiting(tables: readonly SourceTable[]): Promise<void> {
    await this.#unseen.noteWaiting(this.#control);
    if (this.#unseen.size > 0) for (const { oid } of tables) this.#late.set(oid, null);
  }

  /** At an announcement, before the catalogs are asked: whether they know of its transaction, as they mostly do at once. */
  async noteCommit(xid: number, { oid, columns }: RelationMessage): Promise<void> {
    const commit = new RecentTransactions();
    commit.add(xid);
    const limit = performance.now() + soonMs;
    while (!commit.areSeenBy(await currentSnapshot(this.#control))) {
      if (performance.now() > limit) {
        this.#unseen.add(xid);
        this.#late.set(oid, columns);
        return;
      }
      await setTimeout(againMs);
    }
  }

  /** True if old rows of a table that is announced read differently now; what it looks like counts as known from then on. */
  async isOutdated(table: SourceTable, { columns }: RelationMessage): Promise<boolean> {
    const { memory } = this.#context;
    const before = memory.imprint(table.name);
    if (before === null) return false;
    if (this.#isOtherwise(before, table, columns)) {
      memory.setImprint(table.name, imprintOf(table));
      return true;
    }
    const now = imprintOf(table);
    if (now !== before) {
      this.#looks.set(table.name, { before, now, head: (await serverHead(this.#control)).position });
    }
    return false;
  }

  /** Everything up to there is durable. */
  passed(position: bigint): void {
    const { memory } = this.#context;
    for (const [table, { before, now, head }] of this.#looks) {
      if (position < head) continue;
      this.#looks.delete(table);
      if (memory.imprint(table) === before) memory.setImprint(table, now);
    }
  }

  /**
   * Owes a reading to the tables that commits have altered which can be seen by now, but could not as they were announced.
   * Answers their names.
   */
  async oweSeenLate(): Promise<string[]> {
    if (this.#late.size === 0 || !this.#unseen.areSeenBy(await currentSnapshot(this.#control))) return [];
    const late = new Map(this.#late);
    this.#late.clear();
    const tables = await readTables(this.#control, [...late.keys()], this.#context.names);
    const { memory } = this.#context;
    const altered = tables.filter((table) => {
      const imprint = memory.imprint(table.name);
      return imprint !== null && this.#isOtherwise(imprint, table, late.get(table.oid) ?? null);
    });
    for (const { name } of altered) memory.owe(name);
    return altered.map(({ name }) => name);
  }

  #isOtherwise(imprint: string, table: SourceTable, announced: RelationMessage['columns'] | null): boolean {
    if (isReadingOutdated(imprint, table)) return true;
    return announced !== null && hasComeBack(imprint, carriedColumns(table, this.#context.streamsGenerated), announced);
  }
}
