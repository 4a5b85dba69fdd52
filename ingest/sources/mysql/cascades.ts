import type { BinlogRows } from './binlog/binlog-item.ts';
import { type Connection, rowsOf } from './connection.ts';

interface Child {
  /** database.table */
  name: string;
  /** Columns of the parent that it refers to, in lower case. */
  columns: Set<string>;
  onDelete: boolean;
  onUpdate: boolean;
}

/**
 * Foreign keys by which a change of one table changes rows of another (ON DELETE, ON UPDATE with CASCADE or SET NULL). Where
 * InnoDB does that by itself the log does not tell it (dev.mysql.com, InnoDB and MySQL Replication), so that these rows are
 * to be read again; rows of which `tellsCascades` is true bring them along.
 */
export class Cascades {
  readonly #children = new Map<string, Child[]>();

  private constructor(rows: Awaited<ReturnType<typeof rowsOf>>) {
    const children = new Map<string, Child>();
    for (const row of rows) {
      const id = JSON.stringify([row.d, row.c, row.t]);
      const parent = `${row.pd}.${row.pt}`;
      const child = children.get(id) ?? {
        name: `${row.d}.${row.t}`,
        columns: new Set<string>(),
        onDelete: moves(row.delete_rule),
        onUpdate: moves(row.update_rule),
      };
      child.columns.add((row.referenced_column_name ?? '').toLowerCase());
      if (!children.has(id)) this.#children.set(parent, [...(this.#children.get(parent) ?? []), child]);
      children.set(id, child);
    }
  }

  static async read(connection: Connection): Promise<Cascades> {
    const rows = await rowsOf(
      connection,
      `SELECT k.constraint_schema AS d, k.constraint_name AS c, k.table_name AS t, k.referenced_table_schema AS pd,
         k.referenced_table_name AS pt, k.referenced_column_name, r.delete_rule, r.update_rule
         FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
           ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
        WHERE k.referenced_table_name IS NOT NULL`,
    );
    return new Cascades(rows.filter((row) => moves(row.delete_rule) || moves(row.update_rule)));
  }

  /** Tables (database.table) that foreign keys change as the server is set now, and the log does not tell. */
  static async unseen(connection: Connection): Promise<Set<string>> {
    const [setting] = await rowsOf(connection, "SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'");
    if (setting?.value === 'OFF') return new Set();
    const { changed } = await Cascades.read(connection);
    return changed;
  }

  /** True for a table whose changes may change rows of others; database.table. */
  isParent(table: string): boolean {
    return this.#children.has(table);
  }

  /** Tables whose rows a foreign key changes. */
  get changed(): Set<string> {
    return new Set([...this.#children.values()].flat().map(({ name }) => name));
  }

  /** The tables of which these rows' change may have changed others, down to the last of a chain. */
  changedBy({ op, table, rows }: BinlogRows): Set<string> {
    const found = new Set<string>();
    if (op === 'insert') return found;
    const isMoved = (columns: ReadonlySet<string>) =>
      table.columns.some(
        ({ name }, index) =>
          columns.has(name.toLowerCase()) && rows.some(({ before, after }) => before?.[index] !== after?.[index]),
      );
    for (const child of this.#children.get(`${table.database}.${table.name}`) ?? []) {
      if (op === 'delete' ? child.onDelete : child.onUpdate && isMoved(child.columns))
        this.#addWithChildren(child.name, found);
    }
    return found;
  }

  #addWithChildren(table: string, found: Set<string>): void {
    if (found.has(table)) return;
    found.add(table);
    for (const child of this.#children.get(table) ?? []) this.#addWithChildren(child.name, found);
  }
}

function moves(rule: string | null | undefined): boolean {
  return rule === 'CASCADE' || rule === 'SET NULL' || rule === 'SET DEFAULT';
}
