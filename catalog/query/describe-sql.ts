import { DailiesError } from '../error.ts';
import type { QueryChild } from './child-pool.ts';
import { StatementError } from './query-problem.ts';
import { lookUpTables, mentionNames, type TableNames } from './table-lookup.ts';

const longestMs = 20_000;

export interface Described {
  /** Warehouse tables that the statement reads, namespace.table. */
  reads: string[];
  /** Its parameters, without the colon. */
  parameters: string[];
}

/**
 * What a statement would read and take, asked of a process. With `mayLackTables` names of tables that do not exist (yet) are
 * given as they stand. Throws `sql_invalid` and `sql_refused` with their place.
 */
export async function describeIn(
  child: QueryChild,
  sql: string,
  catalog: TableNames,
  mayLackTables: boolean,
): Promise<Described> {
  // Reading a statement takes milliseconds; one that takes this long is made to.
  const timer = setTimeout(() => child.kill(), longestMs);
  try {
    const { tables, parameters } = await child.analyse(sql);
    if (mayLackTables) {
      return { reads: [...new Set(tables.map((mention) => mentionNames(mention)[0]))], parameters };
    }
    const found = await lookUpTables(catalog, tables);
    return { reads: [...new Set(found.map((table) => table.name))], parameters };
  } catch (thrown) {
    if (!(thrown instanceof StatementError)) throw thrown;
    const { code, message, ...place } = thrown.problem;
    throw new DailiesError(code, message, { details: place });
  } finally {
    clearTimeout(timer);
  }
}
