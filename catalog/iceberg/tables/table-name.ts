import { DailiesError } from '../../error.ts';

/*
 * Names of namespaces, tables and views in one text: parts joined with '.', a part that itself has a dot or a quote in
 * double quotes, as in SQL: a."b.c".t is table t in namespace ["a", "b.c"].
 */

/** Parts of a name as one text. */
export function joinName(parts: readonly string[]): string {
  return parts.map((part) => (/[."]/.test(part) ? `"${part.replaceAll('"', '""')}"` : part)).join('.');
}

/** The parts of a name, none of them empty. Throws `invalid`. */
export function nameParts(name: string): string[] {
  const parts: string[] = [];
  // Each round takes one part and the dot before it.
  const part = /(^|\.)(?:"((?:[^"]|"")+)"|([^."]+))/y;
  while (part.lastIndex < name.length || parts.length === 0) {
    const found = part.exec(name);
    if (!found || (parts.length === 0) !== (found[1] === '')) throw malformed(name);
    parts.push(found[2]?.replaceAll('""', '"') ?? found[3] ?? '');
  }
  return parts;
}

/** `a.b.table` is table `table` in namespace `a.b`. Throws `invalid` for a name without a namespace. */
export function splitName(name: string): { namespaceName: string; name: string } {
  const parts = nameParts(name);
  const table = parts.pop();
  if (table === undefined || parts.length === 0) throw malformed(name);
  return { namespaceName: joinName(parts), name: table };
}

/** A source table's own name: `movie` of `production.public.movie`, and of `events.movie`, whose source has no schemas. */
export function ownName(sourceTable: string): string {
  const [, second = '', ...rest] = sourceTable.split('.');
  return rest.length > 0 ? rest.join('.') : second;
}

/** The target that a definition's `table` means for a source table of this name: `production.{table}` for `movie`. Throws `invalid`. */
export function targetName(template: string, table: string): string {
  return joinName(nameParts(template).map((part) => part.replaceAll('{table}', table)));
}

function malformed(name: string): DailiesError {
  return new DailiesError('invalid', `"${name}" is not a table name: it needs a namespace, as in "production.movie".`);
}
