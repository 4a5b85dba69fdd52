import type { PreparedCommit } from '../write/prepared-commit.ts';
import type { TableWriter } from '../write/table-writer.ts';

/** A table whose writer lives in this process. */
export interface MaintainedTable {
  /** namespace.table */
  readonly name: string;
  readonly writer: TableWriter;
  /** True while the writer has nothing staged. */
  isAtRest(): boolean;
  /**
   * Runs `work` while the writer has nothing staged and nobody else uses it; what it throws makes the writer useless.
   * Rejects with `cancelled` where such a moment does not come before `signal` is aborted.
   */
  inTurn<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Commits what the writer has prepared, with the catalog's records of the table. Only in turn. */
  commit(prepared: PreparedCommit): Promise<void>;
}

/** The tables that are written in this process, by name. */
export class MaintainedTables {
  readonly #tables = new Map<string, { table: MaintainedTable; busy: Promise<void>; ending: AbortController }>();

  add(table: MaintainedTable): void {
    this.#tables.set(table.name, { table, busy: Promise.resolve(), ending: new AbortController() });
  }

  /** Ends what is being done with the table, and forgets it. */
  async remove(table: MaintainedTable): Promise<void> {
    const known = this.#tables.get(table.name);
    if (known?.table !== table) return;
    this.#tables.delete(table.name);
    known.ending.abort();
    await known.busy;
  }

  names(): string[] {
    return [...this.#tables.keys()];
  }

  /** Works with a table, which stays while it does; `signal` tells that it is to end. Null where it is not here. */
  async use<T>(name: string, work: (table: MaintainedTable, signal: AbortSignal) => Promise<T>): Promise<T | null> {
    const known = this.#tables.get(name);
    if (!known) return null;
    const result = known.busy.then(() => work(known.table, known.ending.signal));
    known.busy = result.then(
      () => undefined,
      () => undefined,
    );
    return await result;
  }
}
