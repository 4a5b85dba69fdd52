/**
 * `source.schema.table`, or `source.table` where a source has no schemas, split at the first dot; a pattern's parts may hold
 * `*`. Null if it has fewer parts.
 */
export function splitTableName(name: string): { source: string; table: string } | null {
  const dot = name.indexOf('.');
  if (dot <= 0 || dot === name.length - 1) return null;
  return { source: name.slice(0, dot), table: name.slice(dot + 1) };
}

export function isPattern(name: string): boolean {
  return name.includes('*');
}

/** True if the pattern names the table; `*` stands for any characters but not across the dot between schema and table. */
export function matchesTable(pattern: string, table: string): boolean {
  const expression = splitParts(pattern)
    .map((part) => part.split('*').map(escaped).join('[^]*'))
    .map((part) => new RegExp(`^${part}$`));
  const parts = splitParts(table);
  return parts.length === expression.length && parts.every((part, i) => expression[i]?.test(part) ?? false);
}

function splitParts(name: string): string[] {
  const first = name.indexOf('.');
  const second = first < 0 ? -1 : name.indexOf('.', first + 1);
  if (first < 0) return [name];
  if (second < 0) return [name.slice(0, first), name.slice(first + 1)];
  return [name.slice(0, first), name.slice(first + 1, second), name.slice(second + 1)];
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
