import type { Principal } from '../../access/principal.ts';
import type { State } from '../../state/state.ts';

/** A person with the roles that the definition gives this address; none for one that it does not name. */
export async function principalOf(state: State, email: string): Promise<Principal> {
  const address = email.toLowerCase();
  const person = await state.person.findUnique({ where: { email: address } });
  return { email: address, roles: person?.roles ?? [], kind: 'person' };
}
