import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';

const declared = z.record(z.string(), z.object({ type: z.string(), default: z.unknown().optional() }));

/**
 * The values of a report's parameters, typed as declared: what is given, else the default.
 *
 * @throws DailiesError invalid for a parameter without a value, or a value without a parameter
 */
export function reportParameters(
  declaration: unknown,
  given: Readonly<Record<string, unknown>> = {},
): Record<string, { type: string; value: unknown }> {
  const parameters = declared.parse(declaration ?? {});
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(parameters, name)) continue;
    throw new DailiesError(
      'invalid',
      `The report has no parameter ${name}. It has ${Object.keys(parameters).join(', ') || 'none'}.`,
    );
  }
  return Object.fromEntries(
    Object.entries(parameters).map(([name, parameter]) => {
      const value = Object.hasOwn(given, name) ? given[name] : parameter.default;
      if (value === undefined) {
        throw new DailiesError(
          'invalid',
          `The report's parameter ${name} has no default, so it cannot run by itself. Give it one.`,
        );
      }
      return [name, { type: parameter.type, value }];
    }),
  );
}
