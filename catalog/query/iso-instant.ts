import { z } from 'zod';

/** An instant as everything outside writes it: ISO 8601 with a zone, to the minute at least. */
export const isoInstant = z.union([z.iso.datetime({ offset: true }), z.iso.datetime({ offset: true, precision: -1 })], {
  error: 'must be ISO 8601 with a zone, as in 2026-01-31T09:00:00Z',
});
