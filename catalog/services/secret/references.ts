/** A `${secret:NAME}` in a definition's text. */
const reference = /\$\{secret:([A-Za-z0-9_][A-Za-z0-9_.-]*)\}/g;

export const secretNamePattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;

/** Names of all secrets that a value refers to, at any depth. */
export function secretReferences(value: unknown): Set<string> {
  const names = new Set<string>();
  mapStrings(value, (text) => {
    for (const match of text.matchAll(reference)) if (match[1] !== undefined) names.add(match[1]);
    return text;
  });
  return names;
}

/** The value with each `${secret:NAME}` filled in. `lookUp` throws where it has none. */
export function fillSecrets<T>(value: T, lookUp: (name: string) => string): T {
  return mapStrings(value, (text) => text.replace(reference, (_, name: string) => lookUp(name)));
}

/** True if the text is references only, holding nothing that is secret by itself. */
export function isSecretReference(text: string): boolean {
  return text.trim() !== '' && text.replace(reference, '').trim() === '';
}

/** A copy with every string, at any depth, replaced. Keys stay. */
export function mapStrings<T>(value: T, change: (text: string) => string): T {
  return walk(value, change) as T;
}

function walk(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => walk(item, change));
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, change)]));
  return value;
}
