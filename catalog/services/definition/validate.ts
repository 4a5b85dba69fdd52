import { Cron } from 'croner';
import type { z } from 'zod';
import type { Module, ModuleKind, ModuleList } from '../../module.ts';
import { nearestName } from '../nearest-name.ts';
import { fillSecrets, isSecretReference, secretReferences } from '../secret/references.ts';
import type { DefinitionFile } from './file.ts';
import { type JsonSchema, knownKeys, secretPaths, toJsonSchema } from './known-keys.ts';
import { isKindForLater } from './not-yet.ts';
import { type Path, type Problem, pathName, problemAt } from './problem.ts';
import { type Definition, definitionSchema, dropEmptySections, type ModuleEntry, type ReportSpec } from './schema.ts';

/** Checks the shape of one file. The answer is null where there are problems. */
export function checkShape(
  file: DefinitionFile,
  value: unknown,
): { definition: Definition | null; problems: Problem[] } {
  const result = definitionSchema.safeParse(dropEmptySections(value));
  if (!result.success)
    return { definition: null, problems: issueProblems(file, [], toJsonSchema(definitionSchema), result.error.issues) };
  const { version, policies, ...definition } = result.data;
  return { definition, problems: [] };
}

export interface ModuleChecks {
  modules: ModuleList;
  /** The value of a stored or sent secret; undefined if there is none. */
  secret(name: string): string | undefined;
  /** True for the command line, whose files may hold a credential as it is: it is kept as a secret. */
  mayHoldCredentials: boolean;
}

/** Checks what each module says of its own settings, with secrets filled in. Messages never hold a value. */
export function checkModules(file: DefinitionFile, definition: Definition, checks: ModuleChecks): Problem[] {
  const check = (kind: ModuleKind, entry: ModuleEntry, path: Path) => checkEntry(file, kind, entry, path, checks);
  return [
    ...Object.entries(definition.sources).flatMap(([name, entry]) => check('source', entry, ['sources', name])),
    ...Object.entries(definition.pipelines).flatMap(([name, pipeline]) => [
      ...pipeline.steps.flatMap((entry, index) => check('processor', entry, ['pipelines', name, 'steps', index])),
      ...pipeline.to.flatMap((entry, index) => check('sink', entry, ['pipelines', name, 'to', index])),
    ]),
    ...Object.entries(definition.reports).flatMap(([name, report]) => [
      ...report.deliveries.flatMap((entry, index) =>
        check('destination', entry, ['reports', name, 'deliveries', index]),
      ),
      ...checkReport(file, report, ['reports', name]),
    ]),
  ];
}

const words: Readonly<Record<ModuleKind, string>> = {
  source: 'source',
  processor: 'step',
  sink: 'sink',
  destination: 'delivery',
};

export function modulesOf(modules: ModuleList, kind: ModuleKind): readonly Module[] {
  switch (kind) {
    case 'source':
      return modules.sources;
    case 'processor':
      return modules.processors;
    case 'sink':
      return modules.sinks;
    case 'destination':
      return modules.destinations;
  }
}

function checkEntry(
  file: DefinitionFile,
  kind: ModuleKind,
  entry: ModuleEntry,
  path: Path,
  checks: ModuleChecks,
): Problem[] {
  const known = modulesOf(checks.modules, kind);
  const module = known.find((candidate) => candidate.id === entry.kind);
  if (module === undefined) {
    const ids = known.map((candidate) => candidate.id);
    const message = isKindForLater(kind, entry.kind)
      ? `${pathName(path)}: a ${words[kind]} of kind ${entry.kind} does not work yet; there is ${ids.join(', ')}.`
      : `${pathName(path)}: there is no ${words[kind]} of kind ${entry.kind}.${suggestion(entry.kind, ids)}`;
    return [problemAt(file, [...path, 'kind'], message)];
  }
  const problems: Problem[] = [];
  const settings = moduleSettings(kind, entry);
  if (kind === 'processor' && entry.from !== undefined)
    problems.push(
      problemAt(
        file,
        [...path, 'from'],
        `${pathName(path)}: from does not work in a step yet; steps follow each other.`,
        'key',
      ),
    );
  const schema = toJsonSchema(module.config);
  if (!checks.mayHoldCredentials)
    problems.push(
      ...literalCredentials(schema, settings).map((at) =>
        problemAt(
          file,
          [...path, ...at],
          `${pathName([...path, ...at])} holds a credential as it is. Store it with dailies secret set NAME and write \${secret:NAME}.`,
        ),
      ),
    );
  const missing = [...secretReferences(settings)].filter((name) => checks.secret(name) === undefined);
  for (const name of missing)
    problems.push(
      problemAt(file, path, `${pathName(path)}: the secret ${name} is not set. Set it with dailies secret set ${name}`),
    );
  if (missing.length > 0) return problems;
  const result = module.config.safeParse(fillSecrets(settings, (name) => checks.secret(name) ?? ''));
  if (!result.success) problems.push(...issueProblems(file, path, schema, result.error.issues));
  return problems;
}

/** An entry without what the definition itself says of it. */
export function moduleSettings(kind: ModuleKind, entry: ModuleEntry): Record<string, unknown> {
  const { kind: _, ...settings } = entry;
  if (kind !== 'processor') return settings;
  const { name, from, ...own } = settings;
  return own;
}

/** Paths of texts that are a credential by themselves: a secret field without a reference, a password in an address. */
export function literalCredentials(schema: JsonSchema, settings: unknown): Path[] {
  const marked = secretPaths(schema, settings).map((path) => JSON.stringify(path));
  return textPaths(settings).flatMap(({ path, text }) => {
    if (isSecretReference(text)) return [];
    const address = URL.parse(text);
    if (address !== null && address.host !== '') {
      const password = decodeURIComponent(address.password);
      return password !== '' && secretReferences(password).size === 0 ? [path] : [];
    }
    return marked.includes(JSON.stringify(path)) && secretReferences(text).size === 0 ? [path] : [];
  });
}

function textPaths(value: unknown, path: Path = []): { path: Path; text: string }[] {
  if (typeof value === 'string') return [{ path, text: value }];
  if (Array.isArray(value)) return value.flatMap((item, index) => textPaths(item, [...path, index]));
  if (value !== null && typeof value === 'object')
    return Object.entries(value).flatMap(([key, item]) => textPaths(item, [...path, key]));
  return [];
}

function checkReport(file: DefinitionFile, report: ReportSpec, path: Path): Problem[] {
  const { schedule } = report;
  if (schedule === undefined || 'onNewData' in schedule) return [];
  const at = [...path, 'schedule'];
  const problems: Problem[] = [];
  try {
    new Intl.DateTimeFormat('en', { timeZone: schedule.zone });
  } catch {
    const near = suggestion(schedule.zone, Intl.supportedValuesOf('timeZone'));
    problems.push(problemAt(file, [...at, 'zone'], `${pathName(at)}: there is no time zone ${schedule.zone}.${near}`));
  }
  try {
    new Cron(schedule.cron, { paused: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^Cron\w*: /, '') : String(error);
    problems.push(
      problemAt(
        file,
        [...at, 'cron'],
        `${pathName(at)}: ${schedule.cron} is not a cron schedule (minute hour day month weekday): ${reason}.`,
      ),
    );
  }
  return problems;
}

/** zod's issues as sentences at their places, an unknown name with the nearest known one. */
function issueProblems(
  file: DefinitionFile,
  base: Path,
  schema: JsonSchema,
  issues: readonly z.core.$ZodIssue[],
): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const own = issue.path.filter((part) => typeof part !== 'symbol') as (string | number)[];
    const path = [...base, ...own];
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) =>
          problemAt(
            file,
            [...path, key],
            `${path.length === 0 ? 'A definition' : pathName(path)} has no ${path.length === 0 ? 'section' : 'field'} ${key}.${suggestion(key, knownKeys(schema, own))}`,
            'key',
          ),
        );
      case 'invalid_key':
        return [
          problemAt(file, path, `${pathName(path)}: ${issue.issues.map((inner) => inner.message).join('; ')}.`, 'key'),
        ];
      case 'invalid_union': {
        const nested = bestBranch(issue.errors);
        if (nested.length > 0) return issueProblems(file, path, schemaBelow(schema, own), nested);
        return [problemAt(file, path, `${pathName(path)}: ${issue.message}.`)];
      }
      case 'invalid_type':
        if (issue.message.includes('received undefined'))
          return [
            problemAt(
              file,
              path.slice(0, -1),
              `${pathName(path.slice(0, -1)) || 'The definition'} needs ${path.at(-1)}.`,
              'key',
            ),
          ];
        return [problemAt(file, path, `${pathName(path) || 'The definition'} must be ${article(issue.expected)}.`)];
      case 'invalid_value': {
        const values = issue.values.map(String);
        const given = valueAt(file.value, path);
        const near = typeof given === 'string' ? nearestName(given, values) : null;
        const rule = issue.message.startsWith('Invalid') ? `must be ${oneOf(values)}` : issue.message;
        const hint = near === null ? '' : ` Did you mean ${near}?`;
        return [problemAt(file, path, `${pathName(path)}: ${rule}.${hint}`)];
      }
      default:
        return [problemAt(file, path, `${pathName(path)}: ${issue.message}.`)];
    }
  });
}

/** Of a union's branches the one that came nearest: it complains of unknown or wrong fields, not of the shape as a whole. */
function bestBranch(branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] {
  const score = (issues: readonly z.core.$ZodIssue[]) =>
    issues.reduce((sum, issue) => sum + (issue.path.length === 0 && issue.code !== 'unrecognized_keys' ? 10 : 1), 0);
  return [...branches].sort((a, b) => score(a) - score(b))[0] ?? [];
}

function schemaBelow(schema: JsonSchema, path: Path): JsonSchema {
  let found = schema;
  for (const part of path) {
    const additional = typeof found.additionalProperties === 'object' ? found.additionalProperties : {};
    found = (typeof part === 'number' ? found.items : (found.properties?.[part] ?? additional)) ?? {};
  }
  return found;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (found, part) =>
      found !== null && typeof found === 'object' ? (found as Record<string | number, unknown>)[part] : undefined,
    value,
  );
}

export function suggestion(name: string, candidates: Iterable<string>): string {
  const all = [...candidates];
  const near = nearestName(name, all);
  if (near !== null) return ` Did you mean ${near}?`;
  return all.length > 0 && all.length <= 12 ? ` There is ${all.join(', ')}.` : '';
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? values.join() : `one of ${values.join(', ')}`;
}

function article(type: string): string {
  switch (type) {
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'a map of names to values';
    case 'string':
      return 'a text';
    case 'int':
      return 'a whole number';
    case 'boolean':
      return 'true or false';
    default:
      return `a ${type}`;
  }
}
