import { Prisma } from '#prisma/generated/client.ts';

/** Makes a JSON column NULL. */
export const noJson = Prisma.DbNull;

/** A value as a JSON column takes it; whole numbers beyond a double's reach become text. */
export function asJson(value: object): Prisma.InputJsonValue {
  return JSON.parse(JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part)));
}
