import type pg from 'pg';
import { rowsOf } from './connection.ts';
import { readTables, type SourceTable } from './discovery.ts';
import { typesSignature } from './made-types.ts';
import type { ServerNames } from './names.ts';
import type { RowMemory } from './row-memory.ts';
import { isReadOtherwise, withTypesOf } from './table-imprint.ts';

/**
 * Notices when a table gains or loses the replica identity that its publication relies on: an application whose primary
 * key was dropped cannot update a table that is still published with its updates. And when another table has taken a
 * table's name (swapped, dropped and made again), for a publication holds on to the table that it was given. And when
 * somebody has changed the row filter or the column list that our publication has for a table, has renamed the label of an
 * enum, or given a composite another attribute.
 */
export class IdentityWatch {
  readonly #oids: readonly number[];
  readonly #names: readonly string[];
  readonly #server: ServerNames;
  readonly #memory: Pick<RowMemory, 'imprint' | 'setImprint'>;
  readonly #hadIdentity: ReadonlyMap<number, boolean>;
  #signature: string | null = null;

  constructor(tables: readonly SourceTable[], server: ServerNames, memory: Pick<RowMemory, 'imprint' | 'setImprint'>) {
    this.#server = server;
    this.#memory = memory;
    this.#oids = tables.map((table) => table.oid);
    this.#names = tables.map((table) => table.name);
    this.#hadIdentity = new Map(tables.map((table) => [table.oid, table.identity !== 'none']));
  }

  /** True if a name that we follow is another table's now. */
  async isReplaced(client: pg.Client): Promise<boolean> {
    return (await rowsOf(client, replacedQuery, [this.#oids, this.#names])).length > 0;
  }

  /** All tables as they are now if any is in the wrong publication, or read otherwise than it was, else null. A cheap look comes first. */
  async changed(client: pg.Client): Promise<SourceTable[] | null> {
    const { publication, insertsPublication } = this.#server;
    const [row] = await rowsOf(client, signatureQuery, [
      `{${this.#oids.join(',')}}`,
      [publication, insertsPublication],
    ]);
    const signature = row?.signature ?? '';
    if (signature === this.#signature) return null;
    const tables = await readTables(client, this.#oids, this.#server);
    this.#signature = signature;
    const isChanged = tables.some((table) => {
      const imprint = this.#memory.imprint(table.name);
      const isOtherwise = imprint !== null && isReadOtherwise(imprint, table);
      return isOtherwise || (table.identity !== 'none') !== this.#hadIdentity.get(table.oid);
    });
    if (isChanged) return tables;
    for (const table of tables) {
      const imprint = this.#memory.imprint(table.name);
      if (imprint !== null) this.#memory.setImprint(table.name, withTypesOf(table, imprint));
    }
    return null;
  }
}

const replacedQuery = `
SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest($1::oid[], $2::text[]) w (oid, name) ON w.name = n.nspname || '.' || c.relname AND w.oid <> c.oid
 WHERE c.relkind IN ('r', 'p') AND position('.' in n.nspname) = 0 LIMIT 1`;

const signatureQuery = `
SELECT md5(string_agg(concat(c.oid, c.relreplident, (
    SELECT string_agg(concat(i.indexrelid, i.indisprimary, i.indisreplident, i.indimmediate, i.indisvalid), ',' ORDER BY i.indexrelid)
      FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)),
    (SELECT string_agg(concat(r.prpubid, to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs'), ',' ORDER BY r.oid)
      FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = c.oid AND p.pubname = ANY ($2::text[]))), ';' ORDER BY c.oid)) || ${typesSignature} AS signature
  FROM pg_class c WHERE c.oid = ANY ($1::oid[])`;
