import { DailiesError } from '../error.ts';
import type { TableCatalog } from '../iceberg/table-catalog.ts';
import { nearestName } from '../services/nearest-name.ts';
import type { Analysis } from './child-protocol.ts';
import { StatementError } from './query-problem.ts';

/** What is needed of the catalog to find tables by name. */
export type TableNames = Pick<TableCatalog, 'locate' | 'list'>;

type Mention = Analysis['tables'][number];

export interface FoundTable {
  /** namespace.table as the catalog has it. */
  name: string;
  metadataLocation: string;
  mention: Mention;
}

/**
 * The warehouse tables that a statement names. SQL's names have no case; the catalog's do: the exact name wins, else the one
 * that differs in case alone. Throws `StatementError` at the first name that is no table, with the nearest one that is.
 */
export async function lookUpTables(catalog: TableNames, mentions: readonly Mention[]): Promise<FoundTable[]> {
  return await Promise.all(mentions.map((mention) => lookUp(catalog, mention)));
}

async function lookUp(catalog: TableNames, mention: Mention): Promise<FoundTable> {
  const asked = `${mention.namespace}.${mention.table}`;
  const exact = await catalog.locate(asked).catch(unlessInvalid);
  if (exact !== null) return { name: asked, metadataLocation: exact, mention };
  const all = await catalog.list();
  const [name, ...others] = all.filter((candidate) => candidate.toLowerCase() === asked.toLowerCase());
  const location = name === undefined || others.length > 0 ? null : await catalog.locate(name);
  if (name !== undefined && location !== null) return { name, metadataLocation: location, mention };
  const nearest =
    nearestName(asked, all) ??
    nearestName(
      mention.table,
      all.filter((candidate) => candidate.endsWith(`.${mention.table}`)),
    );
  const hint = nearest === null ? '' : ` Did you mean ${nearest}?`;
  throw new StatementError('sql_invalid', `There is no table "${asked}" in the warehouse.${hint}`, mention.at);
}

/** A name that cannot be a table's is a table that does not exist. */
function unlessInvalid(thrown: unknown): null {
  if (thrown instanceof DailiesError && thrown.code === 'invalid') return null;
  throw thrown;
}
