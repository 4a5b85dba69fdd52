import type { Alteration } from './alteration.ts';
import type { BinlogQuery } from './binlog/binlog-item.ts';
import { type Connection, rowsOf, type ServerVersion } from './connection.ts';
import { findTables, type SourceTable } from './discovery.ts';
import { seenWithinMs, untilSeen } from './server-head.ts';
import { readStatement, type Statement, type TableName } from './statement.ts';
import { hasOtherKey, imprintAfter, imprintOf, isOutdatedBy, isReadingOutdated } from './table-imprint.ts';
import type { TableMemory } from './table-memory.ts';

/** What a statement of the log asks to be done for tables (database.table) that are followed. */
export interface Consequences {
  /** Their rows are gone from here on. */
  truncated: string[];
  /** Their rows read differently now, or came and went without events: they are to be read again. */
  outdated: SourceTable[];
  /** Their key is another one, so that they are followed in another way from now on. */
  rekeyed: string[];
  /** Tables, followed or not, may have other foreign keys now. */
  mayChangeKeys: boolean;
  /** Rows that this transaction has told since a savepoint do not hold, but for tables that cannot go back. */
  isTakenBack: boolean;
}

/** Looks at each statement of the log, and says what becomes of the tables that are followed. */
export class TableWatch {
  readonly #connection: Connection;
  readonly #followed: ReadonlySet<string>;
  readonly #memory: TableMemory;
  readonly #version: ServerVersion;
  readonly #seenWithinMs: number;
  readonly #signal: AbortSignal;

  /** `seenWithinMs`: how long what a statement has made of a table may take to be seen. */
  constructor(deps: {
    connection: Connection;
    version: ServerVersion;
    followed: ReadonlySet<string>;
    memory: TableMemory;
    seenWithinMs?: number;
    signal: AbortSignal;
  }) {
    this.#connection = deps.connection;
    this.#version = deps.version;
    this.#followed = deps.followed;
    this.#memory = deps.memory;
    this.#seenWithinMs = deps.seenWithinMs ?? seenWithinMs;
    this.#signal = deps.signal;
  }

  /** `gtid`: of the statement's transaction. */
  async look({ sql, database, sqlMode }: BinlogQuery, gtid: string | null): Promise<Consequences> {
    const statement = readStatement(sql, database, sqlMode);
    const ofTables = this.#shapedBy(statement);
    const none: Consequences = {
      truncated: [],
      outdated: [],
      rekeyed: [],
      mayChangeKeys: ofTables !== null,
      isTakenBack: false,
    };
    if (ofTables !== null && gtid !== null && !(await this.#isSeen(gtid))) {
      return { ...none, ...(await this.#unseen(statement.kind, ofTables)) };
    }
    switch (statement.kind) {
      case 'truncate':
        return { ...none, truncated: this.#named(statement.tables) };
      case 'drop':
      case 'drop-database': {
        const tables = ofTables ?? [];
        // Whatever takes such a name later is another table.
        for (const table of tables) this.#memory.owe(table);
        return { ...none, outdated: await this.#now(tables) };
      }
      case 'create': {
        const tables = this.#named(statement.tables);
        const isNew = (table: string) => !statement.isIfMissing || this.#memory.isOwed(table);
        return { ...none, outdated: await this.#now(tables.filter(isNew)) };
      }
      case 'alter':
        return { ...none, ...(await this.#alter(statement)) };
      case 'data':
        return { ...none, outdated: await this.#now(await this.#written(statement.names)) };
      case 'rollback-to':
        return { ...none, isTakenBack: true };
      case 'other':
        return none;
    }
  }

  /** All tables that are followed, as they are now. */
  all(): Promise<SourceTable[]> {
    return this.#now([...this.#followed]);
  }

  /** Those of these tables (database.table) that are followed, as they are now. */
  followed(tables: Iterable<string>): Promise<SourceTable[]> {
    return this.#now([...tables].filter((table) => this.#followed.has(table)));
  }

  /** Followed tables that a statement makes, alters or takes away; null for one of another kind. */
  #shapedBy(statement: Statement): string[] | null {
    switch (statement.kind) {
      case 'create':
      case 'alter':
      case 'drop':
        return this.#named(statement.tables);
      case 'drop-database':
        return [...this.#followed].filter((table) => table.startsWith(`${statement.database}.`));
      default:
        return null;
    }
  }

  #isSeen(gtid: string): Promise<boolean> {
    const limits = { limitMs: this.#seenWithinMs, signal: this.#signal };
    return untilSeen(this.#connection, this.#version, gtid, limits);
  }

  /**
   * Tables of which the catalog may not tell yet what a statement has made of them: they are read again, and what they looked
   * like when they were last read is kept, for the next statement to be compared with.
   */
  async #unseen(
    kind: Statement['kind'],
    names: readonly string[],
  ): Promise<Pick<Consequences, 'outdated' | 'rekeyed'>> {
    for (const name of names) this.#memory.owe(name);
    const outdated = await this.#now(names);
    const rekeyed = kind === 'alter' ? outdated.filter((table) => this.#isRekeyed(table)) : [];
    // Told once: the source begins again by the new key.
    for (const table of rekeyed) this.#memory.setImprint(table.name, imprintOf(table));
    return { outdated, rekeyed: rekeyed.map(({ name }) => name) };
  }

  #isRekeyed(table: SourceTable): boolean {
    const imprint = this.#memory.imprint(table.name);
    return imprint !== null && hasOtherKey(imprint, table);
  }

  async #alter(statement: Extract<Statement, { kind: 'alter' }>): Promise<Pick<Consequences, 'outdated' | 'rekeyed'>> {
    const found = await this.#now(this.#named(statement.tables));
    const alteration = found.length === 0 ? statement.alteration : await this.#completed(statement.alteration);
    const outdated: SourceTable[] = [];
    const rekeyed: string[] = [];
    for (const table of found) {
      const imprint = this.#memory.imprint(table.name);
      if (this.#isRekeyed(table)) rekeyed.push(table.name);
      // A name that was dropped and is there again is another column.
      const isReused = table.columns.some(({ name }) => alteration.dropped.includes(name.toLowerCase()));
      const { movesRows, renamesColumns } = alteration;
      const isChanged =
        imprint === null || isReadingOutdated(imprint, table) || isOutdatedBy(alteration, imprint, table);
      const isOutdated = movesRows || renamesColumns || isReused || isChanged;
      this.#memory.setImprint(table.name, isOutdated ? imprintOf(table) : imprintAfter(alteration, imprint, table));
      if (isOutdated) outdated.push(table);
    }
    return { outdated, rekeyed };
  }

  /** With what the server's settings say of columns that the statement leaves open. */
  async #completed(alteration: Alteration): Promise<Alteration> {
    if (alteration.columns.every(({ isNullable }) => isNullable !== null)) return alteration;
    const [row] = await rowsOf(this.#connection, 'SELECT @@GLOBAL.explicit_defaults_for_timestamp AS is_explicit');
    const isExplicit = row?.is_explicit === '1';
    const columns = alteration.columns.map((made) => ({ ...made, isNullable: made.isNullable ?? isExplicit }));
    return { ...alteration, columns };
  }

  /** Tables that a change told as text may have written: those it names, and those that their triggers name. */
  async #written(names: readonly TableName[]): Promise<string[]> {
    const triggers = await rowsOf(
      this.#connection,
      'SELECT event_object_schema AS d, event_object_table AS t, action_statement FROM information_schema.triggers',
    );
    const all = [...names];
    for (let at = 0; at < all.length; at++) {
      const { database, table } = all[at] as TableName;
      for (const trigger of triggers.splice(0)) {
        if (trigger.d !== database || trigger.t !== table) triggers.push(trigger);
        else {
          const action = readStatement(`DO ${trigger.action_statement}`, database, 0n);
          if (action.kind === 'data') all.push(...action.names);
        }
      }
    }
    return this.#named(all);
  }

  #named(names: readonly TableName[]): string[] {
    return [...new Set(names.map(({ database, table }) => `${database}.${table}`))].filter((name) =>
      this.#followed.has(name),
    );
  }

  #now(tables: readonly string[]): Promise<SourceTable[]> {
    return tables.length === 0 ? Promise.resolve([]) : findTables(this.#connection, tables, true);
  }
}
