import { DailiesError } from '../error.ts';
import type { TableCatalog } from '../iceberg/tables/table-catalog.ts';
import { joinName } from '../iceberg/tables/table-name.ts';
import { nearestName } from '../services/nearest-name.ts';
import type { TableMention } from './child-protocol.ts';
import { StatementError } from './query-problem.ts';

/** What is needed of the catalog to find tables by name. */
export type TableNames = Pick<TableCatalog, 'locate' | 'list'>;

export interface FoundTable {
  /** namespace.table as the catalog has it. */
  name: string;
  metadataLocation: string;
  mention: TableMention;
}

/**
 * The warehouse tables that a statement names. SQL's names have no case; the catalog's do: the exact name wins, else the one
 * that differs in case alone. Throws `StatementError` at the first name that is no table, with the nearest one that is.
 */
export async function lookUpTables(catalog: TableNames, mentions: readonly TableMention[]): Promise<FoundTable[]> {
  return await Promise.all(mentions.map((mention) => lookUp(catalog, mention)));
}

/**
 * The names that a mention may mean, the likeliest first: `"a.b".t` is a namespace of two levels, or one whose name has a
 * dot.
 */
export function mentionNames({ levels, table }: Pick<TableMention, 'levels' | 'table'>): [string, ...string[]] {
  const exact = joinName([...levels, table]);
  const [only = '', ...others] = levels;
  if (others.length > 0 || !/^[^".]+(\.[^".]+)+$/.test(only)) return [exact];
  return [joinName([...only.split('.'), table]), exact];
}

async function lookUp(catalog: TableNames, mention: TableMention): Promise<FoundTable> {
  const names = mentionNames(mention);
  const [asked] = names;
  for (const name of names) {
    const exact = await catalog.locate(name).catch(unlessInvalid);
    if (exact !== null) return { name, metadataLocation: exact, mention };
  }
  const all = await catalog.list();
  const lower = new Set(names.map((name) => name.toLowerCase()));
  const [name, ...others] = all.filter((candidate) => lower.has(candidate.toLowerCase()));
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
