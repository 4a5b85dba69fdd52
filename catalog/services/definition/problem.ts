import { DailiesError } from '../../error.ts';
import type { DefinitionFile } from './file.ts';

/** One thing that is wrong in a definition, at its place. */
export interface Problem {
  /** null for a problem of no one file. */
  file: string | null;
  line: number | null;
  column: number | null;
  message: string;
}

export type Path = readonly (string | number)[];

export function problemAt(file: DefinitionFile, path: Path, message: string, at: 'key' | 'value' = 'value'): Problem {
  const place = file.locate(path, at);
  return { file: file.name, line: place?.line ?? null, column: place?.column ?? null, message };
}

/** All problems in one error, each on a line of its own: `studio.yaml:12:5: …`. */
export function definitionInvalid(problems: readonly Problem[]): DailiesError {
  const lines = problems.map(({ file, line, column, message }) => {
    const place = [file, line, column].filter((part) => part !== null).join(':');
    return place === '' ? message : `${place}: ${message}`;
  });
  return new DailiesError('definition_invalid', lines.join('\n'), { details: { problems } });
}

/** `pipelines.movies.steps[0].where` */
export function pathName(path: Path): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('');
}
