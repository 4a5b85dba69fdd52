import { DailiesError } from '#catalog/error.ts';
import { nearestName } from '#catalog/services/nearest-name.ts';

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

/** ` (did you mean x?)` for the nearest of the names; empty if none is near. */
export function suggestion(name: string, names: readonly string[]): string {
  const near = nearestName(name, names);
  return near === null ? '' : ` (did you mean ${near}?)`;
}
