import { z } from 'zod';
import type { ScanTime } from '../iceberg/read/time-travel.ts';
import { isoInstant } from './iso-instant.ts';

/** The state in which a whole query reads its tables: at an instant, or at a tag, branch or snapshot id that all of them have. */
export type AsOf = Date | { ref: string };

/** As everything outside writes it: ISO 8601 with a zone is an instant, any other text that does not look like a date a name. */
export const asOfInput = z
  .string()
  .trim()
  .min(1, 'is empty')
  .max(1000)
  .transform((text, context): AsOf => {
    if (!/^\d{4}-\d\d-\d\d/.test(text)) return { ref: text };
    const instant = isoInstant.safeParse(text);
    if (instant.success) return new Date(instant.data);
    context.addIssue({ code: 'custom', message: instant.error.issues[0]?.message ?? 'is not an instant' });
    return z.NEVER;
  });

export function scanTimeOf(asOf: AsOf): ScanTime {
  return asOf instanceof Date ? { timeMs: asOf.getTime() } : asOf;
}

/** As the state database keeps it. */
export function storedAsOf(asOf: AsOf | null): { asOf: Date | null; asOfRef: string | null } {
  return asOf === null || asOf instanceof Date ? { asOf, asOfRef: null } : { asOf: null, asOfRef: asOf.ref };
}
