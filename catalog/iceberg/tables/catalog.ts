import { setTimeout as delay } from 'node:timers/promises';
import { Prisma } from '#prisma/generated/client.ts';
import { DailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import { expireOldMetadata } from '../maintenance/old-metadata.ts';
import { applyUpdates } from '../metadata/apply-updates.ts';
import { checkRequirements } from '../metadata/check-requirements.ts';
import { writeMetadataFile } from '../metadata/metadata-file.ts';
import { readTableMetadata } from '../metadata/table-metadata.ts';
import { filePath, fileUri } from '../storage/location.ts';
import { removeFiles } from '../storage.ts';
import { NameLocks } from './name-locks.ts';
import { makeNamespaces } from './namespaces.ts';
import type { AlongsideCommit, TableCatalog, TableCommit, TableEntry, TableScope } from './table-catalog.ts';
import { joinName, nameParts, splitName } from './table-name.ts';
import { isUnfinished } from './unfinished.ts';
import { requireNoView } from './views.ts';

/** How often a commit is based anew on what others committed meanwhile, before it is given up as a conflict. */
const maxRebases = 50;

/** A pointer that moved between its being read and its being swapped: what was read is old. */
class PointerMoved extends Error {}

/** One table of a commit: what it was, and what its pointer moves to. */
interface Step {
  name: string;
  before: TableEntry | null;
  after: TableEntry;
}

/** The tables of the warehouse by name (`namespace.table`), kept in the state database. */
export class IcebergCatalog implements TableCatalog {
  readonly kind = 'own';
  readonly isAtomic = true;
  readonly state: State;
  /** Local path of the warehouse, or its `s3://` location. */
  readonly warehouse: string;
  readonly #now: () => number;
  readonly #locks = new NameLocks();

  /** `warehouse` is an absolute path, a `file://` URI or an `s3://` location. */
  constructor(state: State, warehouse: string, now: () => number = Date.now) {
    this.state = state;
    this.warehouse = warehouse.startsWith('s3://') ? warehouse.replace(/\/+$/, '') : filePath(warehouse);
    this.#now = now;
  }

  /** Location of the warehouse, without a slash at its end. */
  get warehouseLocation(): string {
    return this.warehouse.startsWith('s3://') ? this.warehouse : fileUri(this.warehouse);
  }

  async locate(name: string, scope: TableScope = 'finished'): Promise<string | null> {
    const row = await this.state.icebergTable.findUnique({ where: { namespaceName_name: splitName(name) } });
    return row === null || (row.isUnfinished && scope === 'finished') ? null : row.metadataLocation;
  }

  async load(name: string, scope: TableScope = 'finished'): Promise<TableEntry | null> {
    const metadataLocation = await this.locate(name, scope);
    return metadataLocation === null ? null : await entryAt(metadataLocation);
  }

  async list(namespace?: string, scope: TableScope = 'finished'): Promise<string[]> {
    const rows = await this.state.icebergTable.findMany({
      where: {
        ...(namespace === undefined ? {} : { namespaceName: namespace }),
        ...(scope === 'all' ? {} : { isUnfinished: false }),
      },
      select: { namespaceName: true, name: true },
    });
    return rows.map((row) => `${row.namespaceName}.${joinName([row.name])}`).sort();
  }

  async namespaces(): Promise<string[]> {
    const rows = await this.state.icebergNamespace.findMany({ select: { name: true } });
    return rows.map((row) => row.name).sort();
  }

  async newTableLocation(name: string, uuid: string): Promise<string> {
    const parts = nameParts(name);
    const table = parts.pop() ?? '';
    // The uuid keeps a table apart from an earlier one of its name, whose files may still be there.
    const folder = `${parts.map(folderName).join('.')}/${folderName(table)}-${uuid.slice(0, 8)}`;
    return `${this.warehouseLocation}/${folder}`;
  }

  /**
   * As the interface says. A commit whose base is no longer the newest is applied to the newest if its requirements hold
   * of that; commits of one process wait for each other, those of several are based anew when the pointer moved.
   */
  async commit(commits: readonly TableCommit[], alongside?: AlongsideCommit): Promise<TableEntry[]> {
    return await this.#locks.run(
      commits.map((commit) => commit.name),
      async () => {
        for (let attempt = 0; ; attempt++) {
          try {
            return await this.#tryCommit(commits, alongside);
          } catch (thrown) {
            if (!(thrown instanceof PointerMoved)) throw thrown;
            if (attempt >= maxRebases) throw conflict(commits);
            await delay(Math.random() * 10 * Math.min(attempt + 1, 20));
          }
        }
      },
    );
  }

  async drop(name: string): Promise<void> {
    const { namespaceName, name: table } = splitName(name);
    await this.state.icebergTable.deleteMany({ where: { namespaceName, name: table } });
  }

  async #tryCommit(commits: readonly TableCommit[], alongside?: AlongsideCommit): Promise<TableEntry[]> {
    const bases = await Promise.all(commits.map((commit) => this.#base(commit)));
    // All are checked before anything is written.
    const changes = commits.map((commit, index) => {
      const before = bases[index] ?? null;
      checkRequirements(commit.name, before?.metadata ?? null, commit.requirements);
      const metadata = applyUpdates(before?.metadata ?? null, commit.updates, this.#now());
      return { name: commit.name, before, metadata };
    });
    const written: string[] = [];
    try {
      const steps: Step[] = await Promise.all(
        changes.map(async ({ name, before, metadata }) => {
          if (before?.metadata === metadata) return { name, before, after: before };
          const after = await writeMetadataFile(before, metadata);
          written.push(after.metadataLocation);
          return { name, before, after };
        }),
      );
      await this.#swap(steps, alongside);
      return steps.map((step) => step.after);
    } catch (thrown) {
      // Nobody can see these files, unless it is not known whether the swap was applied.
      if (!(thrown instanceof DailiesError && thrown.code === 'commit_unknown')) await removeFiles(written);
      throw thrown;
    }
  }

  async #base(commit: TableCommit): Promise<TableEntry | null> {
    const location = await this.locate(commit.name, 'all');
    if (commit.base === null) {
      if (location !== null) throw conflictOver(commit.name, 'table already exists');
      return null;
    }
    if (location === null) throw conflictOver(commit.name, 'the table does not exist');
    return location === commit.base.metadataLocation ? commit.base : await entryAt(location);
  }

  /** THE COMMIT POINT: all pointers in one transaction, together with what `alongside` writes. */
  async #swap(steps: readonly Step[], alongside?: AlongsideCommit): Promise<void> {
    // What fails before the transaction's end has certainly changed nothing.
    let failure: { cause: unknown } | null = null;
    try {
      await this.state.$transaction(
        async (tx) => {
          try {
            // In one order, so that two commits of the same tables wait for each other and do not deadlock.
            for (const step of steps.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
              await swapPointer(tx, step);
              if (step.before) await expireOldMetadata(tx, step.before, step.after, this.#now());
            }
            await alongside?.(
              tx,
              steps.map((step) => step.after),
            );
          } catch (thrown) {
            failure = { cause: thrown };
            throw thrown;
          }
        },
        { maxWait: 60_000, timeout: 120_000 },
      );
    } catch (thrown) {
      if (isRolledBack(thrown)) throw new PointerMoved('The transaction was rolled back.', { cause: thrown });
      if (failure !== null) throw thrown;
      await this.#resolveUnknown(steps, thrown);
    }
  }

  // After a lost connection the transaction may or may not have been applied: only the pointers can tell.
  async #resolveUnknown(steps: readonly Step[], cause: unknown): Promise<void> {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        const changed = steps.filter((step) => step.after !== step.before);
        const applied = await Promise.all(changed.map((step) => this.#isApplied(step)));
        if (applied.length > 0 && applied.every((each) => each)) return;
        break;
      } catch {
        await delay(200 * 2 ** attempt);
      }
    }
    const names = steps.map((step) => step.name);
    throw new DailiesError('commit_unknown', `It is not known whether the commit to ${names.join(', ')} was applied.`, {
      cause,
      details: { tables: names },
    });
  }

  // Others may have committed on top: then the file stands in the log.
  async #isApplied({ name, after }: Step): Promise<boolean> {
    const entry = await this.load(name, 'all');
    return (
      entry?.metadataLocation === after.metadataLocation ||
      (entry?.metadata['metadata-log'] ?? []).some((file) => file['metadata-file'] === after.metadataLocation)
    );
  }
}

async function entryAt(metadataLocation: string): Promise<TableEntry> {
  return { metadataLocation, metadata: await readTableMetadata(metadataLocation) };
}

function folderName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_.-]/g, '_').replace(/^\.+/, '_');
}

async function swapPointer(tx: Prisma.TransactionClient, { name: fullName, before, after }: Step): Promise<void> {
  const { namespaceName, name } = splitName(fullName);
  const pointer = { metadataLocation: after.metadataLocation, isUnfinished: isUnfinished(after.metadata) };
  if (before === null) {
    await requireNoView(tx, fullName);
    await makeNamespaces(tx, nameParts(namespaceName));
    const made = await tx.icebergTable.createMany({
      data: [{ namespaceName, name, uuid: after.metadata['table-uuid'], ...pointer }],
      skipDuplicates: true,
    });
    if (made.count !== 1) throw new PointerMoved();
    return;
  }
  const moved = await tx.icebergTable.updateMany({
    where: { namespaceName, name, metadataLocation: before.metadataLocation },
    data: pointer,
  });
  if (moved.count !== 1) throw new PointerMoved();
}

function conflict(commits: readonly TableCommit[]): DailiesError {
  const names = commits.map((commit) => commit.name);
  return new DailiesError('commit_conflict', `Other writers keep changing ${names.join(', ')}.`, {
    details: { tables: names },
  });
}

function conflictOver(table: string, failure: string): DailiesError {
  return new DailiesError('commit_conflict', `Requirement failed: ${failure}`, { details: { table } });
}

/** The database rolled the transaction back for the sake of another: a unique key, a deadlock. */
function isRolledBack(thrown: unknown): boolean {
  return thrown instanceof Prisma.PrismaClientKnownRequestError && ['P2002', 'P2034'].includes(thrown.code);
}
