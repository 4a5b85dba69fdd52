import type { DailiesError } from '#catalog/error.ts';
import type { SourceWarnings } from './source-warnings.ts';

const againMs = 3_600_000;
const code = 'read_again';

/**
 * What becomes of a source that has forgotten what we have not had yet: all its tables are read again by themselves, and it
 * says so until they are. One that forgets again within the hour would be read for ever: it waits for a person.
 */
export class LostPlace {
  readonly #warnings: SourceWarnings;
  #lostMs = Number.NEGATIVE_INFINITY;

  constructor(warnings: SourceWarnings) {
    this.#warnings = warnings;
  }

  /** True if the error tells of it, and nobody has to decide. */
  isReadAgain(error: DailiesError): boolean {
    if (error.code !== 'source_slot_lost') return false;
    const lastMs = this.#lostMs;
    this.#lostMs = performance.now();
    if (this.#lostMs - lastMs < againMs) return false;
    this.#warnings.raise(
      code,
      `${error.message} All tables are being read again: until each is done it shows what it held, and the changes since.`,
    );
    return true;
  }

  /** No snapshot is under way any more. */
  settle(): void {
    this.#warnings.lower(code);
  }
}
