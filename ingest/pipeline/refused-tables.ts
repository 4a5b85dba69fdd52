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

/** What `call` throws of the table alone names it, source.schema.table, in its details and in its message. */
export async function ofTable<T>(table: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    throw isOfOneTable(thrown) ? naming(table, thrown) : thrown;
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

/** The tables that a pipeline's sinks have refused, each with its reason; the others go on without them. */
export class RefusedTables {
  readonly #ways: number;
  readonly #refused = new Map<string, Target & { error: ErrorRecord }>();
  /** Refused in the run before, which somebody has resumed: once more, and only new rows can help. */
  readonly #before: ReadonlySet<string>;
  readonly #anew = new Set<string>();

  /** `ways` counts the tables, once for each sink. */
  constructor(ways: number, before: ReadonlySet<string>) {
    this.#ways = ways;
    this.#before = before;
  }

  get isEmpty(): boolean {
    return this.#refused.size === 0;
  }

  get targets(): readonly (Target & { error: ErrorRecord })[] {
    return [...this.#refused.values()];
  }

  /** Names what was refused where, for the runner that comes after. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#refused.keys());
  }

  /** Whether the sink is to be given the table. */
  isTaken(sink: number, table: string): boolean {
    return !this.#refused.has(keyOf(sink, table));
  }

  /** True where what the log holds of the table was refused twice: it is read again from its source. */
  isAnew(sink: number, table: string): boolean {
    return this.#anew.has(keyOf(sink, table));
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
    if (way.canReadAnew && this.#before.has(key) && !this.#anew.has(key)) {
      this.#anew.add(key);
      return new TableSetAside(`${table} is read again from its source, for what the log holds was refused again.`);
    }
    this.#refused.set(key, { ...way.targetOf(table), error: error.toJSON() });
    if (this.#refused.size === this.#ways) return error;
    return new TableSetAside(`${table} is set aside: ${error.message}`);
  }
}

function isOfOneTable(thrown: unknown): thrown is DailiesError {
  return thrown instanceof DailiesError && tableErrors.includes(thrown.code);
}

function naming(table: string, { code, message, details, cause }: DailiesError): DailiesError {
  return new DailiesError(code, message.includes(table) ? message : `${table}: ${message}`, {
    cause,
    details: { ...details, table },
  });
}

function keyOf(sink: number, table: string): string {
  return `${sink} ${table}`;
}
