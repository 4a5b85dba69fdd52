import { DailiesError } from '../../error.ts';
import { RestSession } from './session.ts';
import type { RestCatalogSettings } from './settings.ts';

/**
 * Asks another server's catalog for its configuration, before anything starts. Throws `environment_invalid` with one
 * sentence that names the variable, also where it does not answer: an address that is wrong looks the same.
 */
export async function checkCatalog(settings: RestCatalogSettings): Promise<void> {
  const patience = { attempts: 3, firstWaitMs: 500, longestWaitMs: 2_000 };
  try {
    await new RestSession(settings, { timeoutMs: 15_000, patience }).config();
  } catch (thrown) {
    if (!(thrown instanceof DailiesError)) throw thrown;
    const message = thrown.code === 'catalog_unreachable' ? `DAILIES_CATALOG: ${thrown.message}` : thrown.message;
    throw new DailiesError('environment_invalid', message, { cause: thrown, details: { variable: 'DAILIES_CATALOG' } });
  }
}
