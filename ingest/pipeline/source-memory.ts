import type { State } from '#catalog/state/state.ts';
import type { SourceMemory } from '../source.ts';

/** Kept in the source's row of the state database. */
export function storedMemory(state: State, source: string): SourceMemory {
  return {
    read: async () =>
      (await state.source.findUnique({ where: { name: source }, select: { memory: true } }))?.memory ?? null,
    write: async (memory) => {
      await state.source.updateMany({ where: { name: source }, data: { memory } });
    },
  };
}

/** Forgotten with the process: for a source that is only asked, or dropped. */
export function passingMemory(): SourceMemory {
  let held: string | null = null;
  return {
    read: async () => held,
    write: async (text) => {
      held = text;
    },
  };
}
