import { stateError } from '#catalog/state/state-error.ts';
import { wait } from '#catalog/wait.ts';

const retryMs = 2_000;

/**
 * Runs `store`, which says in one step that something has failed and answers its row, however long the state database is away:
 * nobody could resume what is not said to be failed. Answers when the row said so: a later `updatedAt` of it is somebody's
 * wish to go on. Null if the row is gone, or if the signal aborts before that; it is tried once in any case.
 */
export async function storeFailure(
  store: () => Promise<{ updatedAt: Date }[]>,
  { report, signal }: { report: (message: string) => void; signal: AbortSignal },
): Promise<Date | null> {
  do {
    try {
      const [row] = await store();
      return row?.updatedAt ?? null;
    } catch (thrown) {
      report(`its failure could not be stored: ${stateError(thrown).message}`);
      await wait(retryMs, signal);
    }
  } while (!signal.aborted);
  return null;
}
