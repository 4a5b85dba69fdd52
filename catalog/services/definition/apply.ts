import { Prisma } from '#prisma/generated/client.ts';
import { requireAccess } from '../../access/principal.ts';
import { recordAudit, type Transaction } from '../../audit/record-audit.ts';
import type { ModuleList } from '../../module.ts';
import { noteLeftTargets } from '../pipeline/left-targets.ts';
import { notifyChanged, type Scope } from '../scope.ts';
import { decryptSecret, encryptSecret } from '../secret/cipher.ts';
import type { SecretKey } from '../secret/secret-key.ts';
import { checkReferences } from './cross-check.ts';
import { currentDefinition } from './current.ts';
import { type Change, diffDefinitions } from './diff.ts';
import { type DefinitionRequest, replaceReferences } from './environment-references.ts';
import { type DefinitionFile, parseDefinitionFile } from './file.ts';
import { keepCredentials } from './keep-credentials.ts';
import { definitionInvalid, type Problem, problemAt } from './problem.ts';
import type { Definition, ReportSpec } from './schema.ts';
import { checkModules, checkShape } from './validate.ts';

export interface ApplyDeps extends Scope {
  secretKey: SecretKey;
  modules: ModuleList;
  /** Warehouse tables that a report's SQL reads. Throws `sql_invalid` where it does not parse; unknown tables are no error. */
  describeSql(sql: string): Promise<{ reads: string[] }>;
}

export interface ApplyOptions {
  /** Removes what the files don't name. */
  prune?: boolean;
  /** Only shows. */
  dryRun?: boolean;
  /** For the command line: a credential that stands in a file as it is becomes a secret, in place of a refusal. */
  mayHoldCredentials?: boolean;
}

export interface ApplyResult {
  changes: Change[];
  /** False for a dry run and where nothing changes. */
  isApplied: boolean;
}

/**
 * Merges the files by name into what runs, in one transaction: all of it or nothing. Applying twice changes nothing.
 * Throws `definition_invalid` with every problem at its file and line. Durable when resolved.
 */
export async function applyDefinition(
  deps: ApplyDeps,
  request: DefinitionRequest,
  options: ApplyOptions = {},
): Promise<ApplyResult> {
  requireAccess(deps.who, 'admin', 'apply a definition');
  const parsed = parseFiles(request);
  const stored = await storedSecrets(deps);
  const secrets = new Map(Object.entries(request.secrets));
  const secret = (name: string) => secrets.get(name) ?? stored.get(name);
  const mayHoldCredentials = options.mayHoldCredentials ?? false;
  refuse(
    parsed.flatMap(({ file, definition }) =>
      checkModules(file, definition, { modules: deps.modules, secret, mayHoldCredentials }),
    ),
  );
  const files = parsed.map(({ file, definition }) => ({
    file,
    definition: mayHoldCredentials ? keepCredentials(definition, deps.modules, secrets) : definition,
  }));
  const wanted = mergeFiles(files);
  const reads = await describeReports(deps, files);

  return deps.state.$transaction(
    async (tx) => {
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('dailies.definition'))`;
      const current = await currentDefinition(tx);
      const whole = options.prune ? wanted : merge(current, wanted);
      refuse(files.flatMap(({ file, definition }) => checkReferences(file, definition, whole)));
      const changes = [...secretChanges(secrets, stored), ...diffDefinitions(current, wanted, options.prune ?? false)];
      if (options.dryRun || changes.length === 0) return { changes, isApplied: false };
      for (const change of changes) await write(tx, deps, change, wanted, { secrets, reads });
      await recordAudit(tx, deps.who, 'definition.apply', 'definition', {
        added: named(changes, 'add'),
        changed: named(changes, 'change'),
        removed: named(changes, 'remove'),
      });
      await notifyChanged(tx);
      return { changes, isApplied: true };
    },
    { maxWait: 30_000, timeout: 60_000 },
  );
}

interface ParsedFile {
  file: DefinitionFile;
  definition: Definition;
}

function parseFiles(request: DefinitionRequest): ParsedFile[] {
  const problems: Problem[] = [];
  const parsed: ParsedFile[] = [];
  for (const { name, text } of request.files) {
    const file = parseDefinitionFile(name, text);
    const replaced = replaceReferences(file, request.secrets);
    const shape = checkShape(file, replaced.value);
    problems.push(...replaced.problems, ...shape.problems);
    if (shape.definition !== null) parsed.push({ file, definition: shape.definition });
  }
  refuse(problems);
  refuse(doubles(parsed));
  return parsed;
}

function refuse(problems: readonly Problem[]): void {
  if (problems.length > 0) throw definitionInvalid(problems);
}

const sections = ['sources', 'pipelines', 'reports', 'people'] as const;

function doubles(parsed: readonly ParsedFile[]): Problem[] {
  const seen = new Map<string, string>();
  return parsed.flatMap(({ file, definition }) =>
    sections.flatMap((section) =>
      Object.keys(definition[section]).flatMap((name) => {
        const id = `${section}.${name}`;
        const first = seen.get(id);
        seen.set(id, file.name);
        return first === undefined
          ? []
          : [problemAt(file, [section, name], `${id} stands in ${first} already.`, 'key')];
      }),
    ),
  );
}

function mergeFiles(parsed: readonly ParsedFile[]): Definition {
  return parsed.reduce<Definition>((whole, { definition }) => merge(whole, definition), {
    sources: {},
    pipelines: {},
    reports: {},
    people: {},
  });
}

function merge(a: Definition, b: Definition): Definition {
  return {
    sources: { ...a.sources, ...b.sources },
    pipelines: { ...a.pipelines, ...b.pipelines },
    reports: { ...a.reports, ...b.reports },
    people: { ...a.people, ...b.people },
  };
}

export async function storedSecrets({
  state,
  secretKey,
}: Pick<ApplyDeps, 'state' | 'secretKey'>): Promise<Map<string, string>> {
  const rows = await state.secret.findMany();
  return new Map(rows.map((row) => [row.name, decryptSecret(secretKey, row.name, row.ciphertext)]));
}

function secretChanges(sent: ReadonlyMap<string, string>, stored: ReadonlyMap<string, string>): Change[] {
  return [...sent].flatMap(([name, value]): Change[] => {
    const before = stored.get(name);
    if (before === value) return [];
    return [{ section: 'secrets', name, change: before === undefined ? 'add' : 'change', details: [] }];
  });
}

async function describeReports(deps: ApplyDeps, files: readonly ParsedFile[]): Promise<Map<string, string[]>> {
  const reads = new Map<string, string[]>();
  const problems: Problem[] = [];
  for (const { file, definition } of files) {
    for (const [name, report] of Object.entries(definition.reports)) {
      try {
        reads.set(name, (await deps.describeSql(report.sql)).reads);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        problems.push(problemAt(file, ['reports', name, 'sql'], `reports.${name}.sql: ${error.message}`));
      }
    }
  }
  refuse(problems);
  return reads;
}

function named(changes: readonly Change[], change: Change['change']): string[] {
  return changes.filter((item) => item.change === change).map((item) => `${item.section}.${item.name}`);
}

async function write(
  tx: Transaction,
  deps: ApplyDeps,
  { section, name, change }: Change,
  wanted: Definition,
  extra: { secrets: ReadonlyMap<string, string>; reads: ReadonlyMap<string, string[]> },
): Promise<void> {
  switch (section) {
    case 'secrets': {
      const ciphertext = encryptSecret(deps.secretKey, name, extra.secrets.get(name) ?? '');
      await tx.secret.upsert({ where: { name }, create: { name, ciphertext }, update: { ciphertext } });
      return;
    }
    case 'sources': {
      const spec = wanted.sources[name];
      if (change === 'remove' || spec === undefined) return removeSource(tx, name);
      const data = { kind: spec.kind, spec: spec as object };
      await tx.source.upsert({ where: { name }, create: { name, ...data }, update: data });
      return;
    }
    case 'pipelines': {
      const spec = wanted.pipelines[name];
      if (change === 'remove' || spec === undefined) await removePipeline(tx, name);
      else {
        const data = { owner: spec.owner ?? null, spec: spec as object };
        await tx.pipeline.upsert({ where: { name }, create: { name, ...data }, update: data });
      }
      return;
    }
    case 'reports': {
      const report = wanted.reports[name];
      if (change === 'remove' || report === undefined) await tx.report.delete({ where: { name } });
      else {
        const data = reportRow(report, extra.reads.get(name) ?? []);
        await tx.report.upsert({ where: { name }, create: { name, ...data }, update: data });
      }
      return;
    }
    case 'people': {
      const roles = wanted.people[name]?.roles ?? [];
      if (change === 'remove') await tx.person.delete({ where: { email: name } });
      else await tx.person.upsert({ where: { email: name }, create: { email: name, roles }, update: { roles } });
      return;
    }
  }
}

export function reportRow(report: ReportSpec, reads: string[]) {
  return {
    owner: report.owner,
    title: report.title ?? null,
    sql: report.sql,
    parameters: report.parameters as object,
    schedule: report.schedule === undefined ? Prisma.DbNull : (report.schedule as object),
    deliveries: report.deliveries as object[],
    reads,
  };
}

/** Its tables stay; the worker drops those that nobody has seen yet. */
async function removePipeline(tx: Transaction, name: string): Promise<void> {
  const { sinks } = await tx.pipeline.delete({ where: { name }, include: { sinks: true } });
  await noteLeftTargets(tx, name, sinks);
}

/** The worker drops what we made in the source's database; the note outlives the source, and a worker that is down. */
async function removeSource(tx: Transaction, name: string): Promise<void> {
  const { kind, spec } = await tx.source.delete({ where: { name } });
  const key = `source-removed:${name}`;
  const value = { name, kind, spec: spec as object };
  await tx.setting.upsert({ where: { key }, create: { key, value }, update: { value } });
}
