import { requireAccess } from '../../access/principal.ts';
import type { CatalogIndex, SearchHit } from '../../search/catalog-index.ts';
import type { Scope } from '../scope.ts';
import { summarizeTables, type TableSummary } from './list.ts';

export interface TableHit {
  table: TableSummary;
  /** Reports that read it and queries of the last 30 days. */
  usage: number;
  /** The column that matched best, null where the table's own name or words did. */
  column: SearchHit['column'];
}

/** Tables by name, words or columns: exact match first, then usage, then freshness. An empty text finds all. */
export async function searchTables(
  scope: Scope & { index: CatalogIndex },
  text: string,
  limit = 50,
): Promise<{ hits: TableHit[]; total: number }> {
  requireAccess(scope.who, 'catalog.read', 'search the catalog');
  const { hits, total } = await scope.index.search(text.slice(0, 200), Math.min(limit, 500));
  const tables = await summarizeTables(
    scope.state,
    hits.map((hit) => hit.table),
  );
  const byName = new Map(tables.map((table) => [table.name, table]));
  return {
    hits: hits.flatMap(({ table: name, usage, column }) => {
      const table = byName.get(name);
      return table === undefined ? [] : [{ table, usage, column }];
    }),
    total,
  };
}
