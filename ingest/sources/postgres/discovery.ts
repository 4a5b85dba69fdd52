import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import { nearestName } from '#catalog/services/nearest-name.ts';
import { isBuiltInType, type TypeRow } from './column-type.ts';
import { rowsOf } from './connection.ts';
import { withMadeTypes } from './made-types.ts';
import type { ServerNames } from './names.ts';
import { type Published, withPublished } from './published.ts';
import { tableRowsQuery } from './table-rows-query.ts';

export interface TableColumn {
  attnum: number;
  name: string;
  typeOid: number;
  typmod: number;
  isNotNull: boolean;
  generated: 'no' | 'stored' | 'virtual';
  /** True if rows from before the column was added read as its default of then. */
  hasMissing: boolean;
  /** COMMENT ON COLUMN. */
  comment: string | null;
  /** The transaction that has altered it last: its name, type, default or whatever else the catalog says of it. */
  alteredBy: string;
}

/** A table as the catalogs describe it now. */
export interface SourceTable {
  oid: number;
  /** schema.table */
  name: string;
  schemaName: string;
  tableName: string;
  isPartitioned: boolean;
  isUnlogged: boolean;
  /** COMMENT ON TABLE. */
  comment: string | null;
  /** All columns in order, generated ones too. */
  columns: TableColumn[];
  /** Columns of the primary key, or of the replica identity's index where one was chosen, in index order; empty without. */
  key: string[];
  /** How the stream names the old row of an update or delete; `none`: an UPDATE would fail in a publication that carries updates. */
  identity: 'key' | 'full' | 'none';
  /** The storage files of the table (of its leaves), which a rewrite or truncation replaces. */
  files: string;
  /** What our publications carry of it. */
  published: Published;
  /** Enums, with their labels in the order of their making, and composites that its columns are made of, by object id. */
  types: ReadonlyMap<number, readonly string[]>;
}

/**
 * Tables of the patterns (`schema.table`, `*` for any characters), sorted by name. Throws `table_unknown` for a pattern
 * without `*` that is not there. `isExact`: each pattern is a name, whatever it holds, and those that are not there are left
 * out.
 */
export async function findTables(
  client: pg.Client,
  patterns: readonly string[],
  names: ServerNames,
  isExact = false,
): Promise<SourceTable[]> {
  const all = await rowsOf(
    client,
    `SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind, c.relispartition
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\\_temp%'
        AND position('.' in n.nspname) = 0`,
  );
  const isTable = (row: Record<string, string | null>) => row.relkind === 'r' || row.relkind === 'p';
  const chosen = new Set<number>();
  for (const pattern of patterns) {
    if (pattern.includes('*') && !isExact) {
      const matches = wildcard(pattern);
      for (const row of all) {
        if (isTable(row) && row.relispartition !== 't' && matches.test(row.name ?? '')) chosen.add(Number(row.oid));
      }
      continue;
    }
    const row = all.find((candidate) => candidate.name === pattern);
    if (row && isTable(row)) chosen.add(Number(row.oid));
    else if (!isExact)
      throw unknownTable(
        pattern,
        row?.relkind ?? null,
        all.filter(isTable).map((candidate) => candidate.name ?? ''),
      );
  }
  return readTables(client, [...chosen], names);
}

/** True if one of the patterns is this schema.table, or matches it. */
export function isWanted(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => pattern === name || (pattern.includes('*') && wildcard(pattern).test(name)));
}

function wildcard(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's');
}

function unknownTable(name: string, kind: string | null, tables: string[]): DailiesError {
  if (kind !== null) {
    return new DailiesError(
      'table_unknown',
      `${name} is not a table but a view or foreign table, which writes no changes of its own; follow the tables beneath it.`,
      { details: { table: name } },
    );
  }
  const nearest = nearestName(name, tables);
  const hint = nearest === null ? `it has ${tables.length} others` : `did you mean ${nearest}?`;
  return new DailiesError('table_unknown', `The source has no table ${name}; ${hint}`, {
    details: { table: name, nearest },
  });
}

/** Reads the description of tables by object id; those that are gone are left out. Sorted by name. */
export async function readTables(
  client: pg.Client,
  oids: readonly number[],
  names: ServerNames,
): Promise<SourceTable[]> {
  if (oids.length === 0) return [];
  const list = `{${oids.join(',')}}`;
  const rows = await rowsOf(client, tableRowsQuery('$1::oid[]'), [list]);
  const tables = await withCurrent(client, rows.map(tableOfRow), names);
  return tables.sort((a, b) => (a.name < b.name ? -1 : 1));
}

type ColumnRow = [string, string | number, number, boolean, string, number, boolean, string | null, string];

interface IndexRow {
  primary: boolean;
  identity: boolean;
  usable: boolean;
  columns: string[];
}

/** Adds what is known of tables beside their own catalog rows, as it is now. */
export async function withCurrent(
  client: pg.Client,
  tables: readonly SourceTable[],
  names: ServerNames,
): Promise<SourceTable[]> {
  return withMadeTypes(client, await withPublished(client, tables, names));
}

/** A row of `tableRowsQuery`, each value as the text that the server prints, before `withCurrent`. */
export function tableOfRow(row: Record<string, string | null>): SourceTable {
  const columns = (JSON.parse(row.columns ?? '[]') as ColumnRow[]).map(
    ([name, typeOid, typmod, isNotNull, generated, attnum, hasMissing, comment, alteredBy]): TableColumn => ({
      alteredBy,
      comment,
      attnum,
      hasMissing,
      name,
      typeOid: Number(typeOid),
      typmod,
      isNotNull,
      generated: generated === 's' ? 'stored' : generated === 'v' ? 'virtual' : 'no',
    }),
  );
  const isPartitioned = row.relkind === 'p';
  const streamsGenerated = row.streams_generated === 't';
  const streamed = new Set(streamedColumns(columns, streamsGenerated).map((column) => column.name));
  const { key, identity } = replicaIdentity(
    row.relreplident ?? 'n',
    JSON.parse(row.indexes ?? '[]') as IndexRow[],
    columns,
    isPartitioned ? (row.leaf_identities ?? '') : null,
  );
  const isKeyStreamed = key.every((name) => streamed.has(name));
  return {
    oid: Number(row.oid),
    name: `${row.nspname}.${row.relname}`,
    schemaName: row.nspname ?? '',
    tableName: row.relname ?? '',
    isPartitioned,
    isUnlogged: row.relpersistence === 'u',
    comment: row.comment ?? null,
    columns,
    key: isKeyStreamed ? key : [],
    identity: isKeyStreamed ? identity : 'none',
    files: row.files ?? '',
    published: { filter: null, columns: null },
    types: new Map(),
  };
}

/** Columns that a stream carries: generated ones only where stored and from Postgres 18 on. */
export function streamedColumns<Column extends Pick<TableColumn, 'generated'>>(
  columns: readonly Column[],
  streamsGenerated: boolean,
): Column[] {
  return columns.filter((column) => column.generated === 'no' || (column.generated === 'stored' && streamsGenerated));
}

/** Columns that our stream carries of the table: those of the publication's column list, where it has one. */
export function carriedColumns({ columns, published }: SourceTable, streamsGenerated: boolean): TableColumn[] {
  const listed = published.columns;
  if (listed !== null) return columns.filter(({ name }) => listed.includes(name));
  return streamedColumns(columns, streamsGenerated);
}

/**
 * Follows CheckCmdReplicaIdentity of the server: what lets an UPDATE pass in a publication that carries updates. A
 * partitioned table's UPDATE is checked on the leaf, and a leaf made later has the root's key at best.
 */
function replicaIdentity(
  setting: string,
  indexes: readonly IndexRow[],
  columns: readonly TableColumn[],
  leafSettings: string | null,
): { key: string[]; identity: SourceTable['identity'] } {
  const primary = indexes.find((index) => index.primary);
  const chosen = indexes.find((index) => index.identity);
  const key = primary?.columns ?? [];
  if (leafSettings !== null) {
    const isUsable = primary?.usable === true && /^[df]*$/.test(leafSettings) && setting !== 'i';
    return { key, identity: isUsable ? 'key' : 'none' };
  }
  switch (setting) {
    case 'd':
      return { key, identity: primary?.usable ? 'key' : 'none' };
    case 'i':
      return chosen?.usable ? { key: chosen.columns, identity: 'key' } : { key, identity: 'none' };
    case 'f':
      // The server refuses updates of such a table where the identity holds a column that no publication can carry.
      return { key, identity: columns.some((column) => column.generated === 'virtual') ? 'none' : 'full' };
    default:
      return { key, identity: 'none' };
  }
}

/** Looks up types that are not built in, with what they are made of, into `known`. */
export async function readTypes(
  client: pg.Client,
  oids: readonly number[],
  known: Map<number, TypeRow>,
): Promise<void> {
  let wanted = unknownTypes(oids, known);
  while (wanted.length > 0) {
    const rows = await rowsOf(
      client,
      `SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, e.oid AS element
         FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typlen = -1 AND e.typarray = t.oid AND e.typdelim = ','
        WHERE t.oid = ANY ($1::oid[])`,
      [`{${wanted.join(',')}}`],
    );
    for (const oid of wanted) known.set(oid, { kind: 'other' });
    for (const row of rows) known.set(Number(row.oid), toTypeRow(row));
    wanted = unknownTypes(
      rows.flatMap((row) => [Number(row.typbasetype), Number(row.element ?? 0)]).filter((oid) => oid > 0),
      known,
    );
  }
}

function unknownTypes(oids: readonly number[], known: ReadonlyMap<number, TypeRow>): number[] {
  return [...new Set(oids)].filter((oid) => !isBuiltInType(oid) && !known.has(oid));
}

function toTypeRow(row: Record<string, string | null>): TypeRow {
  if (row.typtype === 'd') return { kind: 'domain', base: Number(row.typbasetype), typmod: Number(row.typtypmod) };
  if (row.element !== null) return { kind: 'array', element: Number(row.element) };
  return { kind: 'other' };
}
