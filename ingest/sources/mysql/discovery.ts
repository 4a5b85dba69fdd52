import { DailiesError } from '#catalog/error.ts';
import { nearestName } from '#catalog/services/nearest-name.ts';
import { typeOfCatalog } from './catalog-type.ts';
import type { ColumnType } from './column-type.ts';
import { type Connection, rowsOf, type TextRow } from './connection.ts';

export interface TableColumn {
  name: string;
  /** Null for a type that is not known here. */
  type: ColumnType | null;
  /** As the catalog prints it: `bigint(20) unsigned`. */
  columnType: string;
  isNullable: boolean;
  /** True if a row from before the column was added reads as something else than NULL. */
  hasDefault: boolean;
  /** Made from other columns by the server, stored or not. */
  isGenerated: boolean;
  /** Of text, and of labels. */
  charset: string | null;
  /** What a generated column is made by, as the server prints it. */
  expression: string | null;
  comment: string | null;
}

/** A table as the catalog describes it now. */
export interface SourceTable {
  /** database.table */
  name: string;
  database: string;
  tableName: string;
  /** True for engines that roll back and read from a snapshot. */
  isTransactional: boolean;
  /** Set for a system-versioned table (MariaDB): `transaction` where its period is of transactions' ids. */
  versionedBy: 'time' | 'transaction' | null;
  comment: string | null;
  /** Of text columns that are made without one of their own. */
  charset: string | null;
  /** All columns in order, generated and invisible ones too, without those of a system-versioned table's period. */
  columns: TableColumn[];
  /** Columns of the primary key, in its order, without the end of the period. */
  key: string[];
  /** The server's guess. */
  rows: number;
}

const systemDatabases = `('mysql', 'information_schema', 'performance_schema', 'sys')`;

/**
 * Tables of the patterns (`database.table`, `*` for any characters), sorted by name; no views and no sequences. Throws
 * `table_unknown` for a pattern without `*` that is not there. `isExact`: each pattern is a name, whatever it holds, and
 * those that are not there are left out.
 */
export async function findTables(
  connection: Connection,
  patterns: readonly string[],
  isExact = false,
): Promise<SourceTable[]> {
  const all = await rowsOf(
    connection,
    `SELECT table_schema AS d, table_name AS t, table_type AS k FROM information_schema.tables
      WHERE table_schema NOT IN ${systemDatabases} AND LOCATE('.', table_schema) = 0`,
  );
  const named = all.map((row) => ({ row, name: `${row.d}.${row.t}` }));
  const tables = named.filter(({ row }) => row.k === 'BASE TABLE' || row.k === 'SYSTEM VERSIONED');
  const chosen = new Map<string, TextRow>();
  for (const pattern of patterns) {
    if (pattern.includes('*') && !isExact) {
      const matches = wildcard(pattern);
      for (const { row, name } of tables) if (matches.test(name)) chosen.set(name, row);
      continue;
    }
    const found = tables.find(({ name }) => name === pattern);
    if (found) chosen.set(found.name, found.row);
    else if (!isExact) {
      const other = named.find(({ name }) => name === pattern);
      throw unknownTable(
        pattern,
        other?.row.k ?? null,
        tables.map(({ name }) => name),
      );
    }
  }
  return readTables(connection, [...chosen.values()]);
}

function wildcard(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's');
}

function unknownTable(pattern: string, kind: string | null, names: readonly string[]): DailiesError {
  const nearest = nearestName(pattern, names);
  const hint = nearest === null ? '' : ` Did you mean ${nearest}?`;
  const sentence =
    kind === null
      ? `There is no table ${pattern} that this user may see.${hint}`
      : `${pattern} is no table but a ${kind.toLowerCase()}, whose changes the server does not log.`;
  return new DailiesError('table_unknown', sentence, { details: { table: pattern } });
}

async function readTables(connection: Connection, chosen: readonly TextRow[]): Promise<SourceTable[]> {
  if (chosen.length === 0) return [];
  const databases = [...new Set(chosen.map((row) => row.d))];
  const names = new Set(chosen.map((row) => `${row.d}.${row.t}`));
  // One table is asked for by its name, many by their databases: each is one statement.
  const [only] = chosen.length === 1 ? chosen : [];
  const where = `table_schema IN (?)${only ? ' AND table_name = ?' : ''}`;
  const values = only ? [databases, only.t] : [databases];
  const about = await rowsOf(
    connection,
    `SELECT table_schema AS d, table_name AS t, table_type AS k, engine, table_comment, table_collation, table_rows,
       COALESCE((SELECT transactions FROM information_schema.engines e WHERE e.engine = i.engine), 'NO') AS transactions
       FROM information_schema.tables i WHERE ${where}`,
    values,
  );
  const columns = await rowsOf(
    connection,
    `SELECT table_schema AS d, table_name AS t, column_name, data_type, column_type, character_set_name, is_nullable,
       numeric_precision, numeric_scale, datetime_precision, character_octet_length, column_default, extra, column_comment,
       generation_expression
       FROM information_schema.columns WHERE ${where} ORDER BY ordinal_position`,
    values,
  );
  const keys = await rowsOf(
    connection,
    `SELECT table_schema AS d, table_name AS t, column_name FROM information_schema.statistics
      WHERE ${where} AND index_name = 'PRIMARY' ORDER BY seq_in_index`,
    values,
  );
  const byTable = (rows: readonly TextRow[]) => Map.groupBy(rows, (row) => `${row.d}.${row.t}`);
  const [columnsOf, keysOf] = [byTable(columns), byTable(keys)];
  return about
    .map((row) => toTable(row, columnsOf.get(`${row.d}.${row.t}`) ?? [], keysOf.get(`${row.d}.${row.t}`) ?? []))
    .filter((table) => names.has(table.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function toTable(row: TextRow, allColumns: readonly TextRow[], keys: readonly TextRow[]): SourceTable {
  const isVersioned = row.k === 'SYSTEM VERSIONED';
  const isOfPeriod = (column: TextRow) => isVersioned && /^ROW (START|END)$/.test(column.generation_expression ?? '');
  const [period] = allColumns.filter(isOfPeriod);
  const columns = allColumns.filter((column) => !isOfPeriod(column)).map(toColumn);
  const versionedBy = period?.data_type === 'bigint' ? 'transaction' : 'time';
  return {
    name: `${row.d}.${row.t}`,
    database: row.d ?? '',
    tableName: row.t ?? '',
    isTransactional: row.transactions === 'YES',
    versionedBy: isVersioned ? versionedBy : null,
    comment: row.table_comment || null,
    charset: row.table_collation?.split('_')[0] ?? null,
    columns,
    key: keys.map((key) => key.column_name ?? '').filter((name) => columns.some((column) => column.name === name)),
    rows: Number(row.table_rows ?? 0),
  };
}

function toColumn(row: TextRow): TableColumn {
  const number = (text: string | null | undefined) => (text === null || text === undefined ? null : Number(text));
  const isNullable = row.is_nullable === 'YES';
  // MariaDB spells a default of NULL out.
  const hasDefault = row.column_default !== null && row.column_default !== 'NULL';
  const isGenerated = /(VIRTUAL|STORED|PERSISTENT) GENERATED/i.test(row.extra ?? '');
  return {
    name: row.column_name ?? '',
    type: typeOfCatalog({
      dataType: (row.data_type ?? '').toLowerCase(),
      columnType: row.column_type ?? '',
      charset: row.character_set_name ?? null,
      precision: number(row.numeric_precision),
      scale: number(row.numeric_scale),
      fraction: number(row.datetime_precision),
      maxBytes: number(row.character_octet_length),
    }),
    columnType: row.column_type ?? '',
    isNullable,
    hasDefault: hasDefault || !isNullable || isGenerated,
    isGenerated,
    charset: row.character_set_name ?? null,
    expression: row.generation_expression || null,
    comment: row.column_comment || null,
  };
}
