import type { z } from 'zod';
import { DailiesError } from '../error.ts';

/** Parses what came from outside. Throws `invalid` with a sentence that names each field, never its value. */
export function parseInput<T extends z.ZodType>(schema: T, raw: unknown): z.infer<T> {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.map(String).join('.');
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  throw new DailiesError('invalid', `${problems.join('; ')}.`, { details: { problems } });
}
