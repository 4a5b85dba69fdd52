import type { Prisma } from '#prisma/generated/client.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import type { TableRequirement, TableUpdate } from '../metadata/table-updates.ts';

/** A table as of one commit. */
export interface TableEntry {
  metadataLocation: string;
  metadata: TableMetadata;
}

/** What one commit does to one table: `updates` are applied in their order if every requirement holds. */
export interface TableCommit {
  /** namespace.table, levels of the namespace joined with '.' */
  name: string;
  /** The table that the updates start from; null for one that this commit makes. */
  base: TableEntry | null;
  requirements: readonly TableRequirement[];
  updates: readonly TableUpdate[];
}

/** What is written to our own state with a commit, told of the tables as they are committed, in the order of the commits. */
export type AlongsideCommit = (tx: Prisma.TransactionClient, entries: readonly TableEntry[]) => Promise<void>;

/** Which tables are meant: those that people see, or with them those whose first snapshot is under way. */
export type TableScope = 'finished' | 'all';

/** Where the tables of the warehouse are known by name, and where they are committed. */
export interface TableCatalog {
  /** `own` is kept in our state database, `external` is another server. */
  readonly kind: 'own' | 'external';

  /** True if a commit of several tables applies all or none; else each is committed alone, one after the other. */
  readonly isAtomic: boolean;

  /** Where the table's metadata file is; null for no such table. Throws `invalid` for what cannot be a table's name. */
  locate(name: string, scope?: TableScope): Promise<string | null>;

  /** The table as of its last commit, with all its snapshots; null for no such table. The answer is shared: never change it. */
  load(name: string, scope?: TableScope): Promise<TableEntry | null>;

  /**
   * Names of all tables, or of one namespace, sorted; none for a namespace that does not exist. Another server's list has
   * tables whose first snapshot is under way, too.
   */
  list(namespace?: string, scope?: TableScope): Promise<string[]>;

  /** Names of all namespaces, levels joined with '.', sorted. */
  namespaces(): Promise<string[]>;

  /** Location of a table that is to be made, without a slash at its end; nothing is made yet. */
  newTableLocation(name: string, uuid: string): Promise<string>;

  /**
   * THE COMMIT POINT of tables: all of them or none where `isAtomic`, else each alone in the order given. Durable and
   * visible when resolved, with the committed tables in the order of `commits`. A commit whose base is null makes the
   * table, and its namespace if need be. `alongside` runs in the same transaction in our own catalog, right after the
   * commit elsewhere: it must be repeat-safe, for a crash between the two leaves it out.
   *
   * Throws `commit_conflict` if certainly nothing was applied, since a requirement does not hold: files of the commit may
   * be removed. Throws `commit_unknown` if it cannot be told, or if only some of the tables were committed: then no file
   * may be removed, and who wants to go on loads the tables anew.
   */
  commit(commits: readonly TableCommit[], alongside?: AlongsideCommit): Promise<TableEntry[]>;

  /** Forgets the table; its files stay. A table that does not exist is passed over. */
  drop(name: string): Promise<void>;
}
