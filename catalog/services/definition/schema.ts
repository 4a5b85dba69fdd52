import { z } from 'zod';
import { declaredTypes } from '../../query/parameters.ts';

const email = z.email('is not an e-mail address').toLowerCase();

/** Part of table names and of what we make in a database, so plain characters only. */
const sourceName = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9_-]{0,39}$/,
    'a source name begins with a letter and holds letters, digits, _ and - only, 40 at most',
  );

/** Any text that stands on one line and in a path. */
const entryName = z
  .string()
  .min(1, 'a name cannot be empty')
  .max(120, 'a name has 120 characters at most')
  .regex(/^[^/\p{Cc}]+$/u, 'a name cannot hold a slash or a line break')
  .refine((name) => name.trim() === name, 'a name cannot begin or end with a space');

const role = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,39}$/, 'a role begins with a letter and holds letters, digits, _ and - only');

/** What each module's own schema checks further. */
const moduleEntry = z.looseObject({ kind: z.string() });
const stepEntry = z.looseObject({ kind: z.string(), name: entryName.optional(), from: z.array(z.string()).optional() });

export const scheduleSchema = z.union([
  z.strictObject({ cron: z.string(), zone: z.string() }),
  z.strictObject({ onNewData: z.array(z.string()).min(1, 'names no table') }),
]);

export const reportSchema = z.strictObject({
  owner: email,
  title: z.string().max(200).optional(),
  sql: z.string().min(1, 'is empty'),
  parameters: z
    .record(
      z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a parameter name holds letters, digits and _ only'),
      z.strictObject({
        type: z.enum(declaredTypes),
        default: z.union([z.string(), z.number(), z.boolean(), z.null()]).optional(),
      }),
    )
    .default({}),
  schedule: scheduleSchema.optional(),
  deliveries: z.array(moduleEntry).default([]),
});

export const pipelineSchema = z.strictObject({
  owner: email.optional(),
  from: z.array(z.string()).min(1, 'names no table'),
  steps: z.array(stepEntry).default([]),
  to: z.array(moduleEntry).min(1, 'names no sink'),
});

export const definitionSchema = z.strictObject({
  version: z.literal(1, 'must be 1'),
  sources: z.record(sourceName, moduleEntry).default({}),
  pipelines: z.record(entryName, pipelineSchema).default({}),
  reports: z.record(entryName, reportSchema).default({}),
  people: z.record(email, z.strictObject({ roles: z.array(role) })).default({}),
  policies: z.array(z.unknown()).max(0, 'policies do not work yet: leave the section empty or out').default([]),
});

/** What a definition says, its sections merged over all files. Secrets stand as ${secret:NAME}. */
export type Definition = Omit<z.infer<typeof definitionSchema>, 'version' | 'policies'>;
export type PipelineSpec = z.infer<typeof pipelineSchema>;
export type ReportSpec = z.infer<typeof reportSchema>;
export type ModuleEntry = z.infer<typeof moduleEntry>;

/** A copy without the sections that are written with nothing in them: those count as left out. */
export function dropEmptySections(value: unknown): unknown {
  const definition = withoutNulls(value);
  if (!isObject(definition)) return definition;
  const { pipelines, reports, policies } = definition;
  return {
    ...definition,
    ...(isObject(pipelines) ? { pipelines: mapValues(pipelines, withoutNulls) } : {}),
    ...(isObject(reports) ? { reports: mapValues(reports, withoutNulls) } : {}),
    ...(isObject(policies) && Object.keys(policies).length === 0 ? { policies: [] } : {}),
  };
}

function withoutNulls(value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
}

function mapValues(value: Record<string, unknown>, change: (item: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(item)]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
