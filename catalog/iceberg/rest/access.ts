import { can, requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import type { TableUpdate } from '../metadata/table-updates.ts';
import type { Alongside } from '../tables/namespaces.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { forbidden } from './rest-error.ts';
import { fullName, type Identifier } from './rest-request.ts';

/** Throws 403 to whoever may not change what the catalog holds. `purpose` completes "You may not …". */
export function requireWrite(deps: IcebergRestDeps, purpose: string): void {
  requireAccess(deps.who, 'catalog.write', purpose);
}

export function mayWrite(deps: IcebergRestDeps): boolean {
  return can(deps.who, 'catalog.write');
}

/** Writes who did what into the audit log, in the transaction that does it. Commits of data are not told: snapshots tell them. */
export function audited(
  deps: IcebergRestDeps,
  action: string,
  target: string,
  details: Record<string, string> = {},
): Alongside {
  return (tx) => recordAudit(tx, deps.who, action, target, details);
}

/** Throws 403 to whoever may not read all of the table. */
export async function requireRead(deps: IcebergRestDeps, name: string): Promise<void> {
  if (await deps.mayRead(name)) return;
  throw forbidden(`You may not read all of ${name}. Query it in Dailies, which shows what you may see.`);
}

/** The pipeline that writes the table; null for one that nobody but engines writes. */
export async function owningPipeline(deps: IcebergRestDeps, name: string): Promise<string | null> {
  const sink = await deps.catalog.state.pipelineSink.findFirst({
    where: { kind: 'iceberg', target: name },
    select: { pipelineName: true },
  });
  return sink?.pipelineName ?? null;
}

/** Throws 403 for a table that a pipeline writes. `what` completes "engines may not …". */
export async function requireUnowned(deps: IcebergRestDeps, identifier: Identifier, what: string): Promise<void> {
  const name = fullName(identifier);
  const pipeline = await owningPipeline(deps, name);
  if (pipeline !== null) throw owned(name, pipeline, what);
}

/**
 * Throws 403 for a commit that would change what a pipeline keeps: its data and schema, its own properties and tags. What
 * is harmless passes: reading, tags, branches besides main, statistics, other properties.
 */
export async function requireHarmless(
  deps: IcebergRestDeps,
  name: string,
  updates: readonly TableUpdate[],
): Promise<void> {
  const harmful = updates.find((update) => !isHarmless(update));
  if (harmful === undefined) return;
  const pipeline = await owningPipeline(deps, name);
  if (pipeline !== null) throw owned(name, pipeline, `change its data, schema or settings (${harmful.action})`);
}

function owned(name: string, pipeline: string, what: string) {
  return forbidden(
    `${name} is written by the pipeline "${pipeline}", so engines may not ${what}. Read it, tag it, work on a branch of it, or write a table of your own.`,
  );
}

function isHarmless(update: TableUpdate): boolean {
  switch (update.action) {
    case 'set-properties':
      return !Object.keys(update.updates).some(isOurs);
    case 'remove-properties':
      return !update.removals.some(isOurs);
    // A snapshot shows nothing before a branch points to it.
    case 'add-snapshot':
    case 'set-statistics':
    case 'remove-statistics':
    case 'set-partition-statistics':
    case 'remove-partition-statistics':
      return true;
    case 'set-snapshot-ref':
    case 'remove-snapshot-ref':
      return update['ref-name'] !== 'main' && !update['ref-name'].startsWith('dailies-');
    default:
      return false;
  }
}

/** Properties by which the pipeline's writer works, and those that would lead files elsewhere. */
function isOurs(key: string): boolean {
  return (
    key.startsWith('dailies.') ||
    /^write\.(format|parquet|delete|update|merge|metadata|data|object-storage|location-provider|folder-storage)\b/.test(
      key,
    ) ||
    key === 'schema.name-mapping.default' ||
    key === 'format-version'
  );
}
