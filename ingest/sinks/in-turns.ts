import type { Turns } from '#catalog/iceberg/maintenance/turns.ts';
import type { Sink } from '../sink.ts';

/** A sink whose calls are turns: between two of them, maintenance may use its writers. */
export function inTurns(sink: Sink, turns: Turns): Sink {
  const writeFile = sink.writeFile?.bind(sink);
  return {
    keepsChanges: sink.keepsChanges ?? false,
    target: (table) => sink.target(table),
    writtenUpTo: (table, signal) => turns.own(() => sink.writtenUpTo(table, signal)),
    beginSnapshot: (table, schema, signal) => turns.own(() => sink.beginSnapshot(table, schema, signal)),
    beginChunks: (table, schema, generation, signal) =>
      turns.own(() => sink.beginChunks(table, schema, generation, signal)),
    chunkedGeneration: (table, signal) => turns.own(() => sink.chunkedGeneration(table, signal)),
    lacking: (changes, signal, isReplayed) => turns.own(() => sink.lacking(changes, signal, isReplayed)),
    write: (changes, signal) => turns.own(() => sink.write(changes, signal)),
    ...(writeFile ? { writeFile: (rows, signal) => turns.own(() => writeFile(rows, signal)) } : {}),
    endSnapshot: (table, signal) => turns.own(() => sink.endSnapshot(table, signal)),
    commit: (position, signal) =>
      turns.own(async () => {
        const commits = await sink.commit(position, signal);
        await turns.letIn();
        return commits;
      }),
    close: async () => {
      await turns.close();
      await sink.close();
    },
  };
}
