import { DailiesError } from '#catalog/error.ts';

/** An `expression_invalid` that says where in the text, counted from 1; by line too where there are several. */
export function refuse(
  text: string,
  at: number,
  problem: string,
  code: RefusalCode = 'expression_invalid',
): DailiesError {
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  const column = at - before.lastIndexOf('\n');
  const place = text.includes('\n') ? `line ${line}, column ${column}` : `column ${column}`;
  return new DailiesError(code, `${problem}, at ${place} of the expression.`, { details: { line, column } });
}

export type RefusalCode = 'expression_invalid' | 'schema_incompatible';

/** ` Did you mean a or b?` with the names that differ from `name` in few letters; empty if none does. */
export function nearestNames(name: string, names: readonly string[]): string {
  const limit = name.length < 4 ? 1 : Math.max(2, Math.floor(name.length / 3));
  const near = names
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
  return near.length === 0 ? '' : ` (did you mean ${near.join(' or ')}?)`;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
