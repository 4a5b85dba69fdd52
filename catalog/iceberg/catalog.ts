import { setTimeout as delay } from 'node:timers/promises';
import { Prisma } from '#prisma/generated/client.ts';
import { DailiesError } from '../error.ts';
import type { State } from '../state/state.ts';
import { filePath, fileUri } from './location.ts';
import { readTableMetadata, type TableMetadata } from './table-metadata.ts';

/** Moves one table's pointer: from the metadata file that the writer read, null for a table that must not exist yet. */
export interface TableChange {
  /** namespace.table */
  name: string;
  from: string | null;
  to: string;
  uuid: string;
}

interface TableEntry {
  metadataLocation: string;
  metadata: TableMetadata;
}

/** The tables of the warehouse by name (`namespace.table`), kept in the state database. */
export class IcebergCatalog {
  readonly #state: State;
  /** Local path of the warehouse. */
  readonly warehouse: string;

  /** `warehouse` is an absolute path or a `file://` URI. */
  constructor(state: State, warehouse: string) {
    this.#state = state;
    this.warehouse = filePath(warehouse);
  }

  /** The table's pointer; null for no such table. */
  async locate(name: string): Promise<string | null> {
    const row = await this.#state.icebergTable.findUnique({ where: { namespaceName_name: splitName(name) } });
    return row?.metadataLocation ?? null;
  }

  /** The table as of its last commit; null for no such table. Throws `table_corrupt`. */
  async load(name: string): Promise<TableEntry | null> {
    const metadataLocation = await this.locate(name);
    if (metadataLocation === null) return null;
    return { metadataLocation, metadata: await readTableMetadata(metadataLocation) };
  }

  /** Names of all tables, or of one namespace, sorted. */
  async list(namespace?: string): Promise<string[]> {
    const rows = await this.#state.icebergTable.findMany({
      ...(namespace === undefined ? {} : { where: { namespaceName: namespace } }),
      select: { namespaceName: true, name: true },
      orderBy: [{ namespaceName: 'asc' }, { name: 'asc' }],
    });
    return rows.map((row) => `${row.namespaceName}.${row.name}`).sort();
  }

  /** Names of all namespaces, levels joined with '.', sorted. */
  async namespaces(): Promise<string[]> {
    const rows = await this.#state.icebergNamespace.findMany({ select: { name: true }, orderBy: { name: 'asc' } });
    return rows.map((row) => row.name).sort();
  }

  /** Properties of a namespace; null for no such namespace. */
  async namespace(name: string): Promise<Record<string, string> | null> {
    const row = await this.#state.icebergNamespace.findUnique({ where: { name } });
    return row
      ? { ...(row.properties as Record<string, string>), location: fileUri(`${this.warehouse}/${name}`) }
      : null;
  }

  /**
   * THE COMMIT POINT of tables. Moves all pointers in one transaction, together with what `alongside` writes; durable
   * when resolved. Throws `commit_conflict` if any table has moved since `from` (then nothing has changed), and
   * `commit_unknown` if the database went away and cannot tell.
   */
  async commit(
    changes: readonly TableChange[],
    alongside?: (tx: Prisma.TransactionClient) => Promise<void>,
  ): Promise<void> {
    try {
      await this.#state.$transaction(
        async (tx) => {
          for (const change of changes) await swapPointer(tx, change);
          await alongside?.(tx);
        },
        { maxWait: 60_000, timeout: 120_000 },
      );
    } catch (thrown) {
      if (thrown instanceof DailiesError) throw thrown;
      if (isUniqueViolation(thrown)) throw conflict(changes[0]?.name ?? '', thrown);
      await this.#resolveUnknown(changes, thrown);
    }
  }

  /** Forgets the table; its files stay. */
  async drop(name: string): Promise<void> {
    const { namespaceName, name: table } = splitName(name);
    await this.#state.icebergTable.deleteMany({ where: { namespaceName, name: table } });
  }

  // After a lost connection the transaction may or may not have been applied: only the pointers can tell.
  async #resolveUnknown(changes: readonly TableChange[], cause: unknown): Promise<void> {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        const locations = await Promise.all(changes.map((change) => this.locate(change.name)));
        if (changes.length > 0 && changes.every((change, index) => locations[index] === change.to)) return;
        break;
      } catch {
        await delay(200 * 2 ** attempt);
      }
    }
    const names = changes.map((change) => change.name);
    throw new DailiesError('commit_unknown', `It is not known whether the commit to ${names.join(', ')} was applied.`, {
      cause,
      details: { tables: names },
    });
  }
}

/** `a.b.table` is table `table` in namespace `a.b`. Throws `invalid` for a name without a namespace. */
export function splitName(name: string): { namespaceName: string; name: string } {
  const dot = name.lastIndexOf('.');
  if (dot <= 0 || dot === name.length - 1) {
    throw new DailiesError('invalid', `"${name}" is not a table name: it needs a namespace, as in "production.movie".`);
  }
  return { namespaceName: name.slice(0, dot), name: name.slice(dot + 1) };
}

async function swapPointer(tx: Prisma.TransactionClient, change: TableChange): Promise<void> {
  const { namespaceName, name } = splitName(change.name);
  if (change.from === null) {
    await tx.icebergNamespace.createMany({ data: [{ name: namespaceName }], skipDuplicates: true });
    const made = await tx.icebergTable.createMany({
      data: [{ namespaceName, name, uuid: change.uuid, metadataLocation: change.to }],
      skipDuplicates: true,
    });
    if (made.count !== 1) throw conflict(change.name);
    return;
  }
  const moved = await tx.icebergTable.updateMany({
    where: { namespaceName, name, metadataLocation: change.from },
    data: { metadataLocation: change.to },
  });
  if (moved.count !== 1) throw conflict(change.name);
}

function conflict(table: string, cause?: unknown): DailiesError {
  return new DailiesError('commit_conflict', `Another writer has changed ${table} meanwhile.`, {
    ...(cause === undefined ? {} : { cause }),
    details: { table },
  });
}

function isUniqueViolation(thrown: unknown): boolean {
  return thrown instanceof Prisma.PrismaClientKnownRequestError && thrown.code === 'P2002';
}
