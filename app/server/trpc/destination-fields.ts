import { z } from 'zod';

/** One field of a form, as a module's configuration describes it. */
export interface FormField {
  name: string;
  title: string;
  description: string | null;
  example: string | null;
  isRequired: boolean;
  isSecret: boolean;
  /** A list of texts. */
  isList: boolean;
  choices: string[] | null;
}

interface Property {
  type?: string;
  title?: string;
  description?: string;
  enum?: unknown[];
  const?: unknown;
  secret?: boolean;
  examples?: unknown[];
}

/** The fields of a module's configuration in their order, without `kind`, which is what the module is called. */
export function destinationFields(config: z.ZodType): FormField[] {
  const schema = z.toJSONSchema(config, { io: 'input' }) as {
    properties?: Record<string, Property>;
    required?: string[];
  };
  return Object.entries(schema.properties ?? {})
    .filter(([, property]) => property.const === undefined)
    .map(([name, property]) => ({
      name,
      title: property.title ?? name,
      description: property.description ?? null,
      example: exampleText(property.examples?.[0]),
      isRequired: schema.required?.includes(name) ?? false,
      isSecret: property.secret === true,
      isList: property.type === 'array',
      choices: property.enum?.map(String) ?? null,
    }));
}

function exampleText(example: unknown): string | null {
  if (example === undefined) return null;
  return Array.isArray(example) ? example.join(', ') : String(example);
}
