import { askerName, type Principal } from '../access/principal.ts';
import type { State } from '../state/state.ts';

/** The part of a Prisma client that works inside a transaction as well as outside of one. */
export type Transaction = Omit<State, '$connect' | '$disconnect' | '$on' | '$transaction' | '$extends'>;

/** Writes who did what, in the caller's transaction. `details` holds names and counts, never a cell value or a secret. */
export async function recordAudit(
  tx: Transaction,
  who: Principal,
  action: string,
  target: string,
  details: Record<string, string | number | boolean | null | readonly string[]> = {},
): Promise<void> {
  await tx.auditEvent.create({ data: { actor: askerName(who), action, target, details: details as object } });
}
