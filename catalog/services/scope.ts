import type { Principal } from '../access/principal.ts';
import type { Transaction } from '../audit/record-audit.ts';
import type { State } from '../state/state.ts';

/** What every service is called with: the state it works on and who asks. */
export interface Scope {
  state: State;
  who: Principal;
}

/** Tells the worker, when the transaction commits, that what people want has changed. */
export async function notifyChanged(tx: Transaction): Promise<void> {
  await tx.$executeRaw`SELECT pg_notify('dailies_changed', '')`;
}
