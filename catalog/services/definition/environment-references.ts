import { mapStrings } from '../secret/references.ts';
import { type DefinitionFile, parseDefinitionFile } from './file.ts';
import { definitionInvalid, type Path, type Problem, pathName, problemAt } from './problem.ts';

/** `${NAME}`, but not `${secret:NAME}`. */
const reference = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** What a client sends to apply: the files as they stand, and what their `${NAME}`s mean on its side. */
export interface DefinitionRequest {
  files: { name: string; text: string }[];
  /** Kept as secrets of the same name. */
  secrets: Record<string, string>;
}

/**
 * For the command line: reads each `${NAME}` of the files from `env`. Throws `definition_invalid` with file and line for a
 * variable that is not set. The text itself is sent as it stands, so that the answer's line numbers hold.
 */
export function readReferences(
  files: DefinitionRequest['files'],
  env: Readonly<Record<string, string | undefined>>,
): DefinitionRequest {
  const secrets: Record<string, string> = {};
  const problems: Problem[] = [];
  for (const { name, text } of files) {
    const file = parseDefinitionFile(name, text);
    for (const { path, variable } of findReferences(file.value)) {
      const value = env[variable];
      if (value) secrets[variable] = value;
      else
        problems.push(
          problemAt(
            file,
            path,
            `${pathName(path)} needs the environment variable ${variable}, which is not set. Set it, or write \${secret:NAME}.`,
          ),
        );
    }
  }
  if (problems.length > 0) throw definitionInvalid(problems);
  return { files, secrets };
}

/** Every `${NAME}` as `${secret:NAME}`, and a problem for each that no value was sent for. */
export function replaceReferences(
  file: DefinitionFile,
  secrets: Readonly<Record<string, string>>,
): { value: unknown; problems: Problem[] } {
  const problems = findReferences(file.value)
    .filter(({ variable }) => !Object.hasOwn(secrets, variable))
    .map(({ path, variable }) =>
      problemAt(
        file,
        path,
        `${pathName(path)} refers to the environment variable ${variable}, which only the command line reads. Store it with dailies secret set ${variable} and write \${secret:${variable}}.`,
      ),
    );
  return {
    value: mapStrings(file.value, (text) => text.replace(reference, (_, name) => `\${secret:${name}}`)),
    problems,
  };
}

function findReferences(value: unknown, path: Path = []): { path: Path; variable: string }[] {
  if (typeof value === 'string')
    return [...value.matchAll(reference)].map((match) => ({ path, variable: String(match[1]) }));
  if (Array.isArray(value)) return value.flatMap((item, index) => findReferences(item, [...path, index]));
  if (value !== null && typeof value === 'object')
    return Object.entries(value).flatMap(([key, item]) => findReferences(item, [...path, key]));
  return [];
}
