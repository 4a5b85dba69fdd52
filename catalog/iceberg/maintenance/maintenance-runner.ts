import { stateError } from '../../state/state-error.ts';
import { wait } from '../../wait.ts';
import { sweepExpiredFiles } from './expired-file-sweep.ts';
import type { MaintainedTables } from './maintained-tables.ts';
import { giveUpLostRuns, takeQueuedRun } from './maintenance-records.ts';
import { removeEndedPins } from './snapshot-pins.ts';
import { type RoundDeps, TableRound } from './table-round.ts';

export interface MaintenanceDeps extends RoundDeps {
  /** The tables that are written in this process. */
  tables: MaintainedTables;
  /** One line for the operator's log. */
  report(line: string): void;
  /** How long to pause between two looks at all tables. */
  everyMs?: number;
}

const standardEveryMs = 1_000;
const sweepEveryMs = 30_000;

/** Looks after the tables of this process, one after the other, and does what people ask for of any. */
export class MaintenanceRunner {
  readonly #deps: MaintenanceDeps;
  readonly #rounds = new Map<string, TableRound>();
  readonly #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #sweptMs = 0;

  constructor(deps: MaintenanceDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** One look at everything: runs that were asked for, then each table, then files whose grace is over. */
  async look(): Promise<void> {
    const { tables } = this.#deps;
    const { signal } = this.#closing;
    while (!signal.aborted && (await this.#runQueued())) {}
    const names = tables.names();
    for (const name of this.#rounds.keys()) if (!names.includes(name)) this.#rounds.delete(name);
    for (const name of names) {
      if (signal.aborted) return;
      const round = this.#roundOf(name);
      await tables.use(name, (table, ending) => round.step(table, AbortSignal.any([ending, signal])));
    }
    await this.#sweep();
  }

  /** Ends what is under way; what is not done comes again. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let isRecovered = false;
    while (!signal.aborted) {
      try {
        if (!isRecovered) await giveUpLostRuns(this.#deps.state, this.#deps.now());
        isRecovered = true;
        await this.look();
      } catch (thrown) {
        this.#deps.report(`maintenance: ${stateError(thrown).message}`);
      }
      await wait(this.#deps.everyMs ?? standardEveryMs, signal);
    }
  }

  async #runQueued(): Promise<boolean> {
    const { state, tables, now } = this.#deps;
    const { signal } = this.#closing;
    const run = (await takeQueuedRun(state, tables.names(), now())) ?? (await takeQueuedRun(state, null, now()));
    if (!run) return false;
    const round = this.#roundOf(run.tableName);
    const isHere = await tables.use(run.tableName, async (table, ending) => {
      await round.run(run.id, table, AbortSignal.any([ending, signal]));
      return true;
    });
    if (isHere === null) await round.run(run.id, null, signal);
    return true;
  }

  async #sweep(): Promise<void> {
    const { state, now } = this.#deps;
    const nowMs = now().getTime();
    if (nowMs - this.#sweptMs < sweepEveryMs) return;
    this.#sweptMs = nowMs;
    await sweepExpiredFiles(state, now(), this.#closing.signal);
    await removeEndedPins(state, now());
  }

  #roundOf(name: string): TableRound {
    const known = this.#rounds.get(name);
    if (known) return known;
    const round = new TableRound(this.#deps, name);
    this.#rounds.set(name, round);
    return round;
  }
}
