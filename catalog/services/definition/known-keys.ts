import { z } from 'zod';
import type { Path } from './problem.ts';

/** The parts of a JSON Schema that we look at. */
export interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  secret?: boolean;
}

export function toJsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

/** Names that may stand in the object at `path`. */
export function knownKeys(schema: JsonSchema, path: Path): string[] {
  return schemasAt(schema, path).flatMap((found) => Object.keys(found.properties ?? {}));
}

/** Paths in `value` of the texts whose field is marked secret. */
export function secretPaths(schema: JsonSchema, value: unknown, path: Path = []): Path[] {
  if (typeof value === 'string') return isSecret(schema, path) ? [path] : [];
  if (Array.isArray(value)) return value.flatMap((item, index) => secretPaths(schema, item, [...path, index]));
  if (value !== null && typeof value === 'object')
    return Object.entries(value).flatMap(([key, item]) => secretPaths(schema, item, [...path, key]));
  return [];
}

/** What stands below a secret is secret too. */
function isSecret(schema: JsonSchema, path: Path): boolean {
  return [...path, ''].some((_, length) =>
    schemasAt(schema, path.slice(0, length)).some((found) => found.secret === true),
  );
}

function schemasAt(schema: JsonSchema, path: Path): JsonSchema[] {
  const alternatives = [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  const [part, ...rest] = path;
  if (part === undefined) return alternatives;
  return alternatives.flatMap((found) => {
    const additional = typeof found.additionalProperties === 'object' ? found.additionalProperties : undefined;
    const below = typeof part === 'number' ? found.items : (found.properties?.[part] ?? additional);
    return below === undefined ? [] : schemasAt(below, rest);
  });
}
