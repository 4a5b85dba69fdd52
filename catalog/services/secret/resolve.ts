import { DailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import { decryptSecret } from './cipher.ts';
import { fillSecrets, secretReferences } from './references.ts';
import type { SecretKey } from './secret-key.ts';

/**
 * A copy of `spec` with every `${secret:NAME}` filled in, for the product's own use: the answer is never stored, logged
 * or sent to a client. Throws `secret_missing` naming the first one that is not set.
 */
export async function resolveSecrets<T>(deps: { state: State; secretKey: SecretKey }, spec: T): Promise<T> {
  const names = [...secretReferences(spec)];
  if (names.length === 0) return spec;
  const rows = await deps.state.secret.findMany({ where: { name: { in: names } } });
  const values = new Map(rows.map((row) => [row.name, decryptSecret(deps.secretKey, row.name, row.ciphertext)]));
  return fillSecrets(spec, (name) => {
    const value = values.get(name);
    if (value === undefined) throw missingSecret(name);
    return value;
  });
}

export function missingSecret(name: string): DailiesError {
  return new DailiesError('secret_missing', `The secret ${name} is not set. Set it with: dailies secret set ${name}`, {
    details: { secret: name },
  });
}
