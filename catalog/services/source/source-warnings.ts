import type { Prisma } from '#prisma/generated/client.ts';

/** What threatens a source while it still runs, as the worker last heard it. */
export interface StoredWarning {
  code: string;
  message: string;
  since: Date;
}

/** For `include`: those of a source, the oldest first. */
export const withWarnings = {
  select: { code: true, message: true, since: true },
  orderBy: [{ since: 'asc' }, { code: 'asc' }],
} satisfies Prisma.Source$warningsArgs;
