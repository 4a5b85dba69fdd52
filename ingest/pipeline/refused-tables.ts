import { DailiesError, type ErrorCode, type ErrorRecord } from '#catalog/error.ts';

/** Errors that concern the one table that a sink or a step was given, and that a person has to mend. */
const tableErrors: readonly ErrorCode[] = [
  'schema_incompatible',
  'type_unsupported',
  'value_unsupported',
  'unsupported',
  'table_corrupt',
  'definition_invalid',
  'catalog_refused',
  'conflict',
  'invalid',
  'not_found',
  'expression_invalid',
  'graphql_refused',
];

/**
 * What `call` throws of the table alone names it, source.schema.table, in its details and in its message, and in its details
 * the log's record that was refused.
 */
export async function ofTable<T>(table: string, call: () => Promise<T>, offset?: number): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    throw isOfOneTable(thrown) ? naming(table, thrown, offset) : thrown;
  }
}

/** A table was left out of what a pipeline moves, or is to be read again: its lanes are opened anew. */
export class TableSetAside extends Error {}

interface Target {
  kind: string;
  target: string;
}

/** One lane: the number of its sink, and what it takes there. */
interface Way {
  sink: number;
  /** source.schema.table */
  tables: readonly string[];
  targetOf(table: string): Target;
  /** True where new rows of a table can be had and would take the place of those that were refused. */
  canReadAnew: boolean;
}

interface Refused extends Target {
  table: string;
  error: ErrorRecord;
  /** Rows that come anew take the place of everything up to this record; null where none would, or where it is not known. */
  voidUpTo: number | null;
}

/** The tables that a pipeline's sinks have refused, each with its reason; the others go on without them. */
export class RefusedTables {
  readonly #ways: number;
  readonly #refused = new Map<string, Refused>();
  /** Refused in the run before, which somebody has resumed: once more, and only new rows can help. */
  readonly #before: ReadonlySet<string>;
  /** The record that was refused; what begins after it is taken. */
  readonly #anew = new Map<string, number>();

  /** `ways` counts the tables, once for each sink. */
  constructor(ways: number, before: ReadonlySet<string>) {
    this.#ways = ways;
    this.#before = before;
  }

  get isEmpty(): boolean {
    return this.#refused.size === 0;
  }

  get targets(): readonly (Target & { error: ErrorRecord })[] {
    return [...this.#refused.values()].map(({ kind, target, error }) => ({ kind, target, error }));
  }

  /** Tables that a snapshot which begins after a record of the log makes good by itself. */
  get voidable(): readonly { table: string; upTo: number }[] {
    return [...this.#refused.values()].flatMap(({ table, voidUpTo }) =>
      voidUpTo === null ? [] : [{ table, upTo: voidUpTo }],
    );
  }

  /** Names what was refused where, for the runner that comes after. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#refused.keys());
  }

  /** Whether the sink is to be given the table. */
  isTaken(sink: number, table: string): boolean {
    return !this.#refused.has(keyOf(sink, table));
  }

  /**
   * Where what the log holds of the table was refused twice: the record after which a snapshot of it has to begin. Null for
   * other tables.
   */
  anewAfter(sink: number, table: string): number | null {
    return this.#anew.get(keyOf(sink, table)) ?? null;
  }

  /**
   * What is to be done about an error of a lane: the same error where it is of more than one table, or where no table
   * would be left; else a `TableSetAside`, with the table noted.
   */
  judge(thrown: unknown, way: Way): unknown {
    if (!isOfOneTable(thrown)) return thrown;
    const named = thrown.details.table;
    const table = way.tables.find((each) => each === named || way.targetOf(each).target === named);
    if (table === undefined) return thrown;
    const error = naming(table, thrown);
    const key = keyOf(way.sink, table);
    const { offset } = error.details;
    const refusedAt = typeof offset === 'number' ? offset : null;
    if (way.canReadAnew && this.#before.has(key) && !this.#anew.has(key)) {
      this.#anew.set(key, refusedAt ?? Number.POSITIVE_INFINITY);
      return new TableSetAside(`${table} goes on with rows that come anew, for what the log holds was refused again.`);
    }
    const voidUpTo = way.canReadAnew ? refusedAt : null;
    this.#refused.set(key, { ...way.targetOf(table), table, error: error.toJSON(), voidUpTo });
    if (this.#refused.size === this.#ways) return error;
    return new TableSetAside(`${table} is set aside: ${error.message}`);
  }
}

function isOfOneTable(thrown: unknown): thrown is DailiesError {
  return thrown instanceof DailiesError && tableErrors.includes(thrown.code);
}

function naming(table: string, { code, message, details, cause }: DailiesError, offset?: number): DailiesError {
  return new DailiesError(code, message.includes(table) ? message : `${table}: ${message}`, {
    cause,
    details: { ...details, table, ...(offset === undefined ? {} : { offset }) },
  });
}

function keyOf(sink: number, table: string): string {
  return `${sink} ${table}`;
}
