import { z } from 'zod';
import type { SourceMemory } from '../../source.ts';

const stored = z.object({
  /** Which server it is (IDENTIFY_SYSTEM), the same for a primary and its standbys. */
  system: z.string().nullable(),
  /** Of the primary that was read; null of a standby, which follows its primary to another. */
  timeline: z.number().nullable(),
  /** What is remembered of tables (`RowMemory`), where nothing could be written in the database. */
  tables: z.string().nullable(),
});

export type KeptState = z.infer<typeof stored>;

/** What is kept with us, and not in the database: it must outlive a server that is restored, or one that is a standby. */
export class Kept {
  readonly #memory: SourceMemory;

  constructor(memory: SourceMemory) {
    this.#memory = memory;
  }

  async read(): Promise<KeptState> {
    const text = await this.#memory.read();
    return text === null ? { system: null, timeline: null, tables: null } : stored.parse(JSON.parse(text));
  }

  /** Writes what differs. Durable when resolved. */
  async write(change: Partial<KeptState>): Promise<void> {
    const before = await this.read();
    const after = { ...before, ...change };
    if (JSON.stringify(before) !== JSON.stringify(after)) await this.#memory.write(JSON.stringify(after));
  }
}
