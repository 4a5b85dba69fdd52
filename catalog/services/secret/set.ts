import { z } from 'zod';
import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { parseInput } from '../parse-input.ts';
import { notifyChanged, type Scope } from '../scope.ts';
import { encryptSecret } from './cipher.ts';
import { secretNamePattern } from './references.ts';
import type { SecretKey } from './secret-key.ts';

const input = z.strictObject({
  name: z.string().max(200).regex(secretNamePattern, 'letters, digits, _ . - only').meta({ title: 'Name' }),
  value: z.string().min(1, 'is empty').max(262_144).meta({ title: 'Value', secret: true }),
});

/** Stores or replaces a secret, encrypted. Durable when resolved; may be repeated. */
export async function setSecret(scope: Scope & { secretKey: SecretKey }, raw: unknown): Promise<{ name: string }> {
  requireAccess(scope.who, 'admin', 'set secrets');
  const { name, value } = parseInput(input, raw);
  await scope.state.$transaction(async (tx) => {
    const ciphertext = encryptSecret(scope.secretKey, name, value);
    await tx.secret.upsert({ where: { name }, create: { name, ciphertext }, update: { ciphertext } });
    await recordAudit(tx, scope.who, 'secret.set', name);
    await notifyChanged(tx);
  });
  return { name };
}
