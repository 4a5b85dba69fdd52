/** Microseconds since 1970 UTC as a timestamp column takes them. */
export function dateOf(micros: bigint | null): Date | null {
  return micros === null ? null : new Date(Number(micros / 1000n));
}
