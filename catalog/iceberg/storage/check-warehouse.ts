import { randomUUID } from 'node:crypto';
import type { Environment } from '../../environment.ts';
import { isS3 } from './s3-location.ts';

/** Tries of each request: who starts the product waits for the answer. */
const attempts = 3;

/**
 * Makes sure that the warehouse can be listed, written and deleted in before anything is started on it. Throws
 * `storage_refused` or `storage_unreachable` with the sentence that names what to mend.
 */
export async function checkWarehouse({ warehouse, s3 }: Pick<Environment, 'warehouse' | 's3'>): Promise<void> {
  if (!isS3(warehouse)) return;
  const { S3Objects } = await import('./s3-objects.ts');
  const objects = new S3Objects({ ...s3, attempts, timeoutMs: Math.min(s3.timeoutMs, 10_000) });
  const probe = `${warehouse}/.dailies-check-${randomUUID()}`;
  try {
    // Listed first: only then is an absent bucket told from one that may not be written.
    await objects.list(probe).next();
    await objects.put(probe, '');
    await objects.remove([probe]);
  } finally {
    objects.close();
  }
}
