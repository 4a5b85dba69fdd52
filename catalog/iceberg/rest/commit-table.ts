import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { type TableRequirement, type TableUpdate, tableRequirement, tableUpdate } from '../metadata/table-updates.ts';
import { recordEngineTable } from '../tables/record-engine-table.ts';
import type { TableCommit, TableEntry } from '../tables/table-catalog.ts';
import { locateView } from '../tables/views.ts';
import { audited, owningPipeline, requireHarmless, requireRead, requireUnowned, requireWrite } from './access.ts';
import { commitResponse, noTable } from './load-table.ts';
import { allowedLocation, requireFree, requireInWarehouse } from './locations.ts';
import { requireNamespace } from './namespace-routes.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { badRequest, RestError } from './rest-error.ts';
import { bodyOf, fullName, type Identifier, identifier, shownName } from './rest-request.ts';
import { noContent } from './rest-response.ts';

const changes = z.object({ requirements: z.array(tableRequirement), updates: z.array(tableUpdate) });

/** `POST …/tables/{table}`: a commit to one table, which makes it where it is required not to exist. */
export async function commitTable(deps: IcebergRestDeps, request: Request, target: Identifier): Promise<Response> {
  requireWrite(deps, 'change tables');
  const { requirements, updates } = await bodyOf(request, changes);
  const commit = await checkedCommit(deps, target, requirements, updates);
  const [entry] = await commitAll(deps, [commit]);
  if (!entry) throw noTable(target);
  return commitResponse(entry);
}

/** `POST /transactions/commit`: several tables, all or none. */
export async function commitTransaction(deps: IcebergRestDeps, request: Request): Promise<Response> {
  requireWrite(deps, 'change tables');
  const body = await bodyOf(request, z.object({ 'table-changes': z.array(changes.extend({ identifier })) }));
  const tables = body['table-changes'];
  const names = new Set(tables.map((table) => fullName(table.identifier)));
  if (names.size < tables.length) throw badRequest('A transaction may name each table once.');
  const commits: TableCommit[] = [];
  for (const table of tables) {
    commits.push(await checkedCommit(deps, table.identifier, table.requirements, table.updates));
  }
  await commitAll(deps, commits);
  return noContent();
}

/** Commits to a table what the catalog itself has made of a request. */
export async function commitOne(
  deps: IcebergRestDeps,
  target: Identifier,
  base: TableEntry | null,
  requirements: readonly TableRequirement[],
  updates: readonly TableUpdate[],
): Promise<TableEntry> {
  const [entry] = await commitAll(deps, [{ name: fullName(target), base, requirements, updates }]).catch(
    (thrown: unknown) => {
      // Somebody else made it between the look and the commit.
      if (base !== null || !(thrown instanceof DailiesError) || thrown.code !== 'commit_conflict') throw thrown;
      throw new RestError(409, 'AlreadyExistsException', `Table already exists: ${shownName(target)}`, {
        cause: thrown,
      });
    },
  );
  if (!entry) throw noTable(target);
  return entry;
}

async function checkedCommit(
  deps: IcebergRestDeps,
  target: Identifier,
  requirements: readonly TableRequirement[],
  updates: readonly TableUpdate[],
): Promise<TableCommit> {
  const name = fullName(target);
  const base = await deps.catalog.load(name);
  const isCreation = requirements.some((requirement) => requirement.type === 'assert-create');
  if (base === null) {
    if (!isCreation) throw noTable(target);
    await requireNamespace(deps, target.namespace);
    await requireUnowned(deps, target, 'make it');
    if ((await locateView(deps.catalog.state, name)) !== null) {
      throw new RestError(409, 'AlreadyExistsException', `View with same name already exists: ${shownName(target)}`);
    }
  } else {
    if (isCreation) throw new RestError(409, 'CommitFailedException', 'Requirement failed: table already exists');
    await requireRead(deps, name);
    await requireHarmless(deps, name, updates);
  }
  const allowed = await Promise.all(updates.map((update) => withAllowedLocations(deps, name, update, base)));
  return { name, base, requirements, updates: allowed.flat() };
}

/**
 * The update, if it moves the table to nowhere it may not be: then it stays where it is. Files that snapshots name may be
 * anywhere; whether they are read is for the reader to say.
 */
async function withAllowedLocations(
  deps: IcebergRestDeps,
  name: string,
  update: TableUpdate,
  base: TableEntry | null,
): Promise<TableUpdate[]> {
  switch (update.action) {
    case 'set-location': {
      if (base === null) {
        requireInWarehouse(deps, update.location, 'The table location');
        await requireFree(deps, update.location, name);
        return [update];
      }
      const location = await allowedLocation(deps, update.location, base.metadata.location, name);
      return location === base.metadata.location ? [] : [{ ...update, location }];
    }
    default:
      return [update];
  }
}

/** Commits, and tells the catalog's pages of the tables that engines keep. */
async function commitAll(deps: IcebergRestDeps, commits: readonly TableCommit[]): Promise<TableEntry[]> {
  const owners = await Promise.all(commits.map((commit) => owningPipeline(deps, commit.name)));
  return await deps.catalog.commit(commits, async (tx, entries) => {
    for (const [index, entry] of entries.entries()) {
      const commit = commits[index];
      if (!commit || owners[index] !== null) continue;
      await recordEngineTable(tx, commit.name, entry, commit.base, deps.who);
    }
    for (const commit of commits) {
      if (commit.base === null) await audited(deps, 'table.create', commit.name)(tx);
    }
    await deps.alongsideCommit?.(tx, entries);
  });
}
