import type { Prisma } from '#prisma/generated/client.ts';

/** A value as a JSON column takes it; whole numbers beyond a double's reach become text. */
export function asJson(value: object): Prisma.InputJsonValue {
  return JSON.parse(JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part)));
}

/** Microseconds since 1970 UTC as a timestamp column takes them. */
export function dateOf(micros: bigint | null): Date | null {
  return micros === null ? null : new Date(Number(micros / 1000n));
}
