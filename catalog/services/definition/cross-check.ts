import { DailiesError } from '../../error.ts';
import { ownName, targetName } from '../../iceberg/tables/table-name.ts';
import { nearestName } from '../nearest-name.ts';
import type { DefinitionFile } from './file.ts';
import { type Path, type Problem, pathName, problemAt } from './problem.ts';
import type { Definition } from './schema.ts';

/** Checks that what `file` says fits `whole`: the definition as it will be once everything is applied. */
export function checkReferences(file: DefinitionFile, definition: Definition, whole: Definition): Problem[] {
  return [
    ...Object.entries(definition.sources).flatMap(([name, source]) =>
      checkTables(file, source.tables, ['sources', name, 'tables']),
    ),
    ...Object.entries(definition.pipelines).flatMap(([name, pipeline]) => [
      ...pipeline.from.flatMap((pattern, index) => checkFrom(file, pattern, whole, ['pipelines', name, 'from', index])),
      ...checkStepNames(file, pipeline.steps, ['pipelines', name, 'steps']),
      ...checkTargets(file, name, definition, whole),
    ]),
  ];
}

function checkTables(file: DefinitionFile, tables: unknown, path: Path): Problem[] {
  if (!Array.isArray(tables)) return [];
  return tables.flatMap((pattern, index) =>
    typeof pattern === 'string' && !/^[^.]+\../.test(pattern)
      ? [
          problemAt(
            file,
            [...path, index],
            `${pathName([...path, index])}: ${pattern} is not a table; write schema.table.`,
          ),
        ]
      : [],
  );
}

function checkFrom(file: DefinitionFile, pattern: string, whole: Definition, path: Path): Problem[] {
  const [source = ''] = pattern.split('.', 1);
  const table = pattern.slice(source.length + 1);
  const malformed = (form: string) => [
    problemAt(file, path, `${pathName(path)}: ${pattern} is not a table of a source; write ${form}.`),
  ];
  if (source === '' || table === '') return malformed('source.schema.table');
  const found = whole.sources[source];
  if (!Object.hasOwn(whole.sources, source) || found === undefined) {
    const near = nearestName(source, Object.keys(whole.sources));
    const hint =
      near === null ? ` Known sources: ${Object.keys(whole.sources).join(', ') || 'none'}.` : ` Did you mean ${near}?`;
    return [problemAt(file, path, `${pathName(path)}: there is no source ${source}.${hint}`)];
  }
  const isDeclared = typeof found.tables === 'object' && found.tables !== null && !Array.isArray(found.tables);
  const declared = isDeclared ? Object.keys(found.tables as object) : found.tables;
  const tables = Array.isArray(declared) ? declared.filter((item) => typeof item === 'string') : [];
  // Tables that the definition declares have no schema; those of a database do.
  if (isDeclared ? table.includes('.') : !/^[^.]+\../.test(table))
    return malformed(isDeclared ? 'source.table' : 'source.schema.table');
  if (tables.length === 0 || table.includes('*') || tables.some((wanted) => matchesPattern(wanted, table))) return [];
  const near = nearestName(
    table,
    tables.filter((wanted) => !wanted.includes('*')),
  );
  const hint = near === null ? ` It follows ${tables.join(', ')}.` : ` Did you mean ${source}.${near}?`;
  return [problemAt(file, path, `${pathName(path)}: the source ${source} does not follow ${table}.${hint}`)];
}

/** `*` stands for any text; everything else for itself, case kept. */
export function matchesPattern(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return first === name;
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > name.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}

function checkStepNames(file: DefinitionFile, steps: readonly { name?: string | undefined }[], path: Path): Problem[] {
  const seen = new Set<string>();
  return steps.flatMap(({ name }, index) => {
    if (name === undefined) return [];
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    return [problemAt(file, [...path, index, 'name'], `${pathName(path)}: two steps are named ${name}.`)];
  });
}

/** Targets have names that tables can have; no two pipelines, and no two tables of one, may write one target. */
function checkTargets(file: DefinitionFile, name: string, definition: Definition, whole: Definition): Problem[] {
  const owners = new Map<string, string>();
  for (const [other, pipeline] of Object.entries(whole.pipelines)) {
    if (other !== name) for (const { key } of targetsOf(pipeline)) if (key !== null) owners.set(key, other);
  }
  const own = new Set<string>();
  const pipeline = definition.pipelines[name];
  return (pipeline === undefined ? [] : targetsOf(pipeline)).flatMap(({ key, table, index }) => {
    const path = ['pipelines', name, 'to', index, 'table'];
    if (key === null) {
      const message = `"${table}" is not a table name. A part that has a dot or a quote stands in double quotes, a quote in it twice, as in production."a.b".`;
      return [problemAt(file, path, `${pathName(path)}: ${message}`)];
    }
    const owner = owners.get(key);
    if (owner !== undefined)
      return [problemAt(file, path, `${pathName(path)}: ${table} is written by the pipeline ${owner} already.`)];
    if (own.has(key))
      return [
        problemAt(
          file,
          path,
          `${pathName(path)}: several tables would land in ${table}. Name each target with {table}, or one pipeline each.`,
        ),
      ];
    own.add(key);
    return [];
  });
}

interface Target {
  /** The same for the same target; null where the name is none. */
  key: string | null;
  table: string;
  /** Of the sink in its pipeline. */
  index: number;
}

/** What a pipeline writes, as far as its tables are named; of a malformed name one. */
function targetsOf(pipeline: Definition['pipelines'][string]): Target[] {
  const sources = pipeline.from.filter((from) => !from.includes('*'));
  return pipeline.to.flatMap((sink, index): Target[] => {
    const { table: template } = sink;
    if (typeof template !== 'string') return [];
    if (targetOrNull(template, 'table') === null) return [{ key: null, table: template, index }];
    return sources.map((from) => {
      const table = targetOrNull(template, ownName(from));
      return { key: table && `${sink.kind}/${table}`, table: table ?? template, index };
    });
  });
}

function targetOrNull(template: string, table: string): string | null {
  try {
    return targetName(template, table);
  } catch (thrown) {
    if (thrown instanceof DailiesError && thrown.code === 'invalid') return null;
    throw thrown;
  }
}
