import { carriedColumns, type SourceTable } from './discovery.ts';
import { formatLsn, parseLsn } from './lsn.ts';

/** A column by its number, which no other of its table ever has. */
export interface PastColumn {
  attnum: number;
  name: string;
  typeOid: number;
  typmod: number;
  /** Whether the stream told its values. */
  isCarried: boolean;
}

/** Which columns a table had from a place in the server's history on. */
export interface PastShape {
  oid: number;
  /** Transactions that commit after it find the table so, until the next one. */
  at: bigint;
  columns: readonly PastColumn[];
}

export interface StoredHistory {
  trigger: string | null;
  /** By schema.table, oldest first. */
  tables: Record<string, [string, number, [number, string, number, number, boolean][]][]>;
}

/**
 * What tables were like before each change that the event triggers tell, so that a rename is known by the column's number.
 * It is kept from the last change that is durable with us on: the server tells those behind it again after a crash.
 */
export class ShapeHistory {
  #trigger: string | null;
  readonly #tables: Map<string, PastShape[]>;
  /** Where the stream has come to, by table. */
  readonly #current = new Map<string, PastShape>();
  readonly #changed: () => void;

  constructor(stored: StoredHistory | undefined, changed: () => void) {
    this.#changed = changed;
    this.#trigger = stored?.trigger ?? null;
    this.#tables = new Map(
      Object.entries(stored?.tables ?? {}).map(([table, shapes]) => [
        table,
        shapes.map(([at, oid, columns]) => ({
          oid,
          at: parseLsn(at),
          columns: columns.map(([attnum, name, typeOid, typmod, isCarried]) => ({
            attnum,
            name,
            typeOid,
            typmod,
            isCarried,
          })),
        })),
      ]),
    );
  }

  /** The triggers that have told; null: there are none. */
  get trigger(): string | null {
    return this.#trigger;
  }

  /** Forgets everything unless these triggers have told of all changes since. */
  relyOn(trigger: string | null): void {
    if (trigger === this.#trigger) return;
    this.#trigger = trigger;
    this.#tables.clear();
    this.#changed();
  }

  /** Forgets tables that are followed no more. */
  keep(tables: ReadonlySet<string>): void {
    for (const table of [...this.#tables.keys()]) if (!tables.has(table)) this.forget(table);
  }

  has({ name, oid }: Pick<SourceTable, 'name' | 'oid'>): boolean {
    return this.#tables.get(name)?.at(-1)?.oid === oid;
  }

  /** The table is so for every transaction that commits from `at` on, until a change is told. */
  begin(table: SourceTable, at: bigint, streamsGenerated: boolean): void {
    this.#tables.set(table.name, [shapeOf(table, at - 1n, streamsGenerated)]);
    this.#changed();
  }

  /** The table as a transaction that commits at this place found it, after what was told before; null if not known. */
  before({ name, oid }: Pick<SourceTable, 'name' | 'oid'>, commitLsn: bigint): PastShape | null {
    const shape = this.#current.get(name) ?? this.#tables.get(name)?.findLast(({ at }) => at < commitLsn);
    return shape?.oid === oid ? shape : null;
  }

  /** A change was told. `isPast`: it is durable with us already. */
  tell(table: SourceTable, place: { commitLsn: bigint; isPast: boolean }, streamsGenerated: boolean): void {
    const { commitLsn, isPast } = place;
    const shape = shapeOf(table, commitLsn, streamsGenerated);
    this.#current.set(table.name, shape);
    if (isPast) return;
    // Those behind it, if it comes again after a crash, are told again, too.
    const earlier = (this.#tables.get(table.name) ?? []).filter(({ at }) => at < commitLsn);
    this.#tables.set(table.name, [...earlier, shape]);
    this.#changed();
  }

  /** What is known of the table does not hold: it was altered without being told of. */
  forget(table: string): void {
    this.#current.delete(table);
    if (this.#tables.delete(table)) this.#changed();
  }

  /** Everything before `upTo` is durable with us. */
  settle(upTo: bigint): void {
    for (const [table, shapes] of this.#tables) {
      const last = shapes.findLastIndex(({ at }) => at < upTo);
      if (last <= 0) continue;
      this.#tables.set(table, shapes.slice(last));
      this.#changed();
    }
  }

  toStored(): StoredHistory {
    const tables: StoredHistory['tables'] = {};
    for (const [table, shapes] of this.#tables) {
      tables[table] = shapes.map(({ at, oid, columns }) => [
        formatLsn(at),
        oid,
        columns.map(({ attnum, name, typeOid, typmod, isCarried }) => [attnum, name, typeOid, typmod, isCarried]),
      ]);
    }
    return { trigger: this.#trigger, tables };
  }
}

function shapeOf(table: SourceTable, at: bigint, streamsGenerated: boolean): PastShape {
  const carried = new Set(carriedColumns(table, streamsGenerated));
  const columns = table.columns.map((column) => {
    const { attnum, name, typeOid, typmod } = column;
    return { attnum, name, typeOid, typmod, isCarried: carried.has(column) };
  });
  return { oid: table.oid, at, columns };
}
