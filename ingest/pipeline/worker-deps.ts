import type { z } from 'zod';
import type { State } from '#catalog/state/state.ts';
import type { Intake } from '../intake.ts';
import type { Log } from '../log.ts';
import type { ProcessorModule } from '../processor.ts';
import type { SinkContext, SinkModule } from '../sink.ts';
import type { SourceModule } from '../source.ts';

export interface WorkerDeps<SinkDeps extends object = object> {
  state: State;
  /** Address of the state database, for LISTEN. */
  databaseUrl: string;
  log: Log & { topics(): string[] };
  /** Where producers' requests come in. */
  intake: Intake;
  modules: {
    sources: readonly SourceModule[];
    processors: readonly ProcessorModule[];
    sinks: readonly SinkModule<z.ZodObject, SinkDeps & SinkContext>[];
  };
  /** Handed to every sink that is opened: catalog, index folder … */
  sinkDeps: SinkDeps;
  /** A copy of a spec with its secrets filled in. Throws `secret_missing`. */
  resolveSecrets<T>(spec: T): Promise<T>;
  /** How long changes wait, at most, for the commit that shows them; 200 if left out. */
  commitEveryMs?: number;
  /** How often sources are asked what threatens them; 10,000 if left out. */
  warnEveryMs?: number;
  now: () => Date;
  /** One line for the operator's log; holds no cell values or secrets. */
  report(line: string): void;
}
