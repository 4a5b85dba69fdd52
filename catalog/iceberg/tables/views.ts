import type { Prisma } from '#prisma/generated/client.ts';
import { DailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import type { Alongside } from './namespaces.ts';
import { splitName } from './table-name.ts';

/*
 * Names of views beside those of tables: the catalog's pointers to their metadata files. Nothing here reads a file.
 */

/** The view's pointer; null for no such view. Throws `invalid` for what cannot be a view's name. */
export async function locateView(state: State, name: string): Promise<string | null> {
  const row = await state.icebergView.findUnique({ where: { namespaceName_name: splitName(name) } });
  return row?.metadataLocation ?? null;
}

/** Makes a view in a namespace that exists. Throws `conflict` where there is a table or view of the name. */
export async function addView(
  state: State,
  view: { name: string; uuid: string; metadataLocation: string },
  alongside: Alongside,
): Promise<void> {
  const key = splitName(view.name);
  await state.$transaction(async (tx) => {
    await lockName(tx, view.name);
    await requireUnused(tx, view.name);
    await tx.icebergView.create({ data: { ...key, uuid: view.uuid, metadataLocation: view.metadataLocation } });
    await alongside(tx);
  });
}

/** Moves the view's pointer. Throws `commit_conflict` if it has moved since `from`. */
export async function moveView(state: State, name: string, from: string, to: string): Promise<void> {
  const moved = await state.icebergView.updateMany({
    where: { ...splitName(name), metadataLocation: from },
    data: { metadataLocation: to },
  });
  if (moved.count !== 1) {
    throw new DailiesError('commit_conflict', `Another writer has changed ${name} meanwhile.`, {
      details: { view: name },
    });
  }
}

/** Forgets the view; false for no such view. */
export async function dropView(state: State, name: string, alongside: Alongside): Promise<boolean> {
  return await state.$transaction(async (tx) => {
    const gone = await tx.icebergView.deleteMany({ where: splitName(name) });
    if (gone.count > 0) await alongside(tx);
    return gone.count > 0;
  });
}

/**
 * Gives a table or view another name, in a namespace that exists; false for no such table or view. Throws `conflict`
 * where there is a table or view of the new name. What the catalog's pages know of a table follows its name.
 */
export async function renameEntry(
  state: State,
  kind: 'table' | 'view',
  { from, to }: { from: string; to: string },
  alongside: Alongside,
): Promise<boolean> {
  const [where, data] = [splitName(from), splitName(to)];
  return await state.$transaction(async (tx) => {
    await lockName(tx, to);
    await requireUnused(tx, to);
    const moved =
      kind === 'view'
        ? await tx.icebergView.updateMany({ where, data })
        : await tx.icebergTable.updateMany({ where, data });
    if (moved.count === 0) return false;
    if (kind === 'table') {
      await tx.dataTable.deleteMany({ where: { name: to } });
      await tx.dataTable.updateMany({ where: { name: from }, data: { name: to, changedAt: new Date() } });
    }
    await alongside(tx);
    return true;
  });
}

/** Throws `conflict` where there is a view of the name; none can be made before the transaction ends. */
export async function requireNoView(tx: Prisma.TransactionClient, name: string): Promise<void> {
  await lockName(tx, name);
  if (await tx.icebergView.findUnique({ where: { namespaceName_name: splitName(name) } })) throw taken('view', name);
}

// Tables and views are rows of two tables: who makes or renames one of a name waits for who does the same.
async function lockName(tx: Prisma.TransactionClient, name: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`iceberg:${name}`}, 0))`;
}

async function requireUnused(tx: Prisma.TransactionClient, name: string): Promise<void> {
  const where = { namespaceName_name: splitName(name) };
  const what = (await tx.icebergTable.findUnique({ where }))
    ? 'table'
    : (await tx.icebergView.findUnique({ where }))
      ? 'view'
      : null;
  if (what !== null) throw taken(what, name);
}

function taken(what: 'table' | 'view', name: string): DailiesError {
  return new DailiesError('conflict', `There is a ${what} ${name} already.`, { details: { name, what } });
}
