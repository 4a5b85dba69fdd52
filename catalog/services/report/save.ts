import { stringify } from 'yaml';
import { z } from 'zod';
import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError } from '../../error.ts';
import type { ModuleList } from '../../module.ts';
import { reportRow, storedSecrets } from '../definition/apply.ts';
import { parseDefinitionFile } from '../definition/file.ts';
import { secretPaths, toJsonSchema } from '../definition/known-keys.ts';
import { type ModuleEntry, type ReportSpec, reportSchema } from '../definition/schema.ts';
import { checkModules, checkShape, moduleSettings } from '../definition/validate.ts';
import { parseInput } from '../parse-input.ts';
import { notifyChanged, type Scope } from '../scope.ts';
import { secretUsers } from '../secret/list.ts';
import { secretReferences } from '../secret/references.ts';
import type { SecretKey } from '../secret/secret-key.ts';
import { mayWriteReport } from './get.ts';

const input = z.strictObject({
  name: z.string(),
  /** False refuses to overwrite a report of that name. */
  mayReplace: z.boolean().default(false),
  report: reportSchema.omit({ owner: true }),
});

export interface SaveReportDeps extends Scope {
  secretKey: SecretKey;
  modules: ModuleList;
  describeSql(sql: string): Promise<{ reads: string[] }>;
}

/**
 * Makes or changes a report of who asks; an admin's change keeps its owner, since a report reads with its owner's rights.
 * Throws `conflict` where the name is taken, `invalid` naming what is wrong. Durable when resolved.
 */
export async function saveReport(deps: SaveReportDeps, raw: z.input<typeof input>): Promise<{ name: string }> {
  requireAccess(deps.who, 'report.write', 'save reports');
  const { name, mayReplace, report } = parseInput(input, raw);
  const checked = await checkReport(deps, name, report);
  const { reads } = await deps.describeSql(report.sql);
  await deps.state.$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('dailies.definition'))`;
    const before = await tx.report.findUnique({ where: { name } });
    if (before !== null) {
      if (!mayReplace)
        throw new DailiesError('conflict', `There is a report ${name} already. Choose another name, or save over it.`, {
          details: { report: name },
        });
      if (!mayWriteReport(deps, before.owner)) throw notYours(name, before.owner);
    }
    const data = reportRow({ ...checked, owner: before?.owner ?? deps.who.email }, reads);
    await tx.report.upsert({ where: { name }, create: { name, ...data }, update: data });
    await recordAudit(tx, deps.who, before === null ? 'report.create' : 'report.change', name);
    await notifyChanged(tx);
  });
  return { name };
}

export function notYours(name: string, owner: string): DailiesError {
  return new DailiesError(
    'forbidden',
    `The report ${name} belongs to ${owner}. Ask them to change it, or save it under another name.`,
    {
      details: { report: name, owner },
    },
  );
}

/** The same checks that a definition file goes through, on a file of this one report, and those for who is no admin. */
async function checkReport(
  deps: SaveReportDeps,
  name: string,
  report: z.infer<typeof input>['report'],
): Promise<ReportSpec> {
  const owned = { ...report, owner: 'owner@dailies.invalid' };
  const file = parseDefinitionFile('report', stringify({ version: 1, reports: { [name]: owned } }));
  const shape = checkShape(file, file.value);
  const secrets = await storedSecrets(deps);
  const checks = { modules: deps.modules, secret: (secret: string) => secrets.get(secret), mayHoldCredentials: false };
  const problems = [
    ...shape.problems,
    ...(shape.definition === null ? [] : checkModules(file, shape.definition, checks)),
  ].map((problem) => problem.message);
  if (!deps.who.roles.includes('admin')) {
    const users = await secretUsers(deps.state);
    problems.push(...report.deliveries.flatMap((entry) => refuseForNonAdmin(deps.modules, entry, users)));
  }
  const found = shape.definition?.reports[name];
  if (problems.length > 0 || found === undefined)
    throw new DailiesError('invalid', problems.join('\n'), { details: { report: name } });
  return found;
}

/** An admin may write anywhere and hand any secret to anything; others may not reach past what is meant for reports. */
function refuseForNonAdmin(
  modules: ModuleList,
  entry: ModuleEntry,
  users: ReadonlyMap<string, readonly string[]>,
): string[] {
  const module = modules.destinations.find((candidate) => candidate.id === entry.kind);
  if (module === undefined) return [];
  const settings = moduleSettings('destination', entry);
  const schema = toJsonSchema(module.config);
  const problems: string[] = [];
  for (const [key, value] of Object.entries(settings)) {
    if (secretReferences(value).size > 0 && secretPaths(schema, { [key]: value }).length === 0)
      problems.push(`${key} cannot hold a secret; only an admin may write one there.`);
    for (const name of secretReferences(value)) {
      const other = users.get(name)?.find((user) => !user.startsWith('report '));
      if (other !== undefined)
        problems.push(`${key}: the secret ${name} is for the ${other}; only an admin may hand it to a delivery.`);
    }
  }
  const { path } = settings;
  if (typeof path === 'string' && (!path.startsWith('exports/') || path.split(/[\\/]/).includes('..')))
    problems.push(
      'path must begin with exports/, the folder for files in the home folder; only an admin may choose another.',
    );
  return problems;
}
