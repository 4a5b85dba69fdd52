import { markParameters } from '#catalog/query/parameter-marks.ts';

/** Types that a parameter can have, as a definition names them. */
export const parameterTypes = ['text', 'number', 'date', 'timestamp', 'boolean'] as const;
export type ParameterType = (typeof parameterTypes)[number];

export interface ParameterDraft {
  type: ParameterType;
  text: string;
}

/** Names of the `:parameters` of a statement in order of appearance, read as the query service reads them. */
export function parameterNames(sql: string): string[] {
  return markParameters(sql).names;
}

/** What is sent for a parameter: its declared type and its text; an empty field is NULL but for text. */
export function parameterValue({ type, text }: ParameterDraft): { type: ParameterType; value: string | null } {
  return { type, value: text === '' && type !== 'text' ? null : text };
}
