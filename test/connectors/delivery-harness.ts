import { deliver, type Ledger, noProgress, type Outcome } from '#connectors/deliver.ts';
import type {
  DeliveredRecord,
  DestinationDeps,
  DestinationModule,
  ReportResult,
  ResultColumn,
  ResultRow,
} from '#connectors/destination.ts';
import { type Clock, Pace } from '#connectors/pace.ts';

/** A clock on which waiting takes no time; `slept` is what was waited in all. */
export class QuickClock implements Clock {
  slept = 0;
  #now = Date.now();

  now(): number {
    return this.#now;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.slept += ms;
    this.#now += ms;
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}

export class MemoryLedger implements Ledger {
  readonly rows = new Map<string, DeliveredRecord>();

  async read(): Promise<Map<string, DeliveredRecord>> {
    return new Map(this.rows);
  }

  async record(done: readonly { key: string; fingerprint: string; remoteId: string | null }[]): Promise<void> {
    for (const { key, fingerprint, remoteId } of done) {
      this.rows.set(key, { fingerprint, remoteId: remoteId ?? this.rows.get(key)?.remoteId ?? null });
    }
  }

  async forget(keys: readonly string[]): Promise<void> {
    // As Postgres does.
    if (keys.some((key) => key.includes('\0'))) throw new Error('invalid byte sequence for encoding "UTF8": 0x00');
    for (const key of keys) this.rows.delete(key);
  }
}

export function resultOf(columns: readonly ResultColumn[], rows: readonly ResultRow[], run = 'run-1'): ReportResult {
  return {
    report: 'films',
    run,
    columns,
    rowCount: rows.length,
    batches: async function* () {
      for (let at = 0; at < rows.length; at += 500) yield rows.slice(at, at + 500);
    },
    file: () => Promise.reject(new Error('no file was expected')),
  };
}

/** One report's way to one place, run after run. */
export class Way {
  readonly ledger = new MemoryLedger();
  readonly deps: DestinationDeps;
  readonly #module: DestinationModule;
  readonly #config: Record<string, unknown>;

  constructor(module: DestinationModule, config: Record<string, unknown>, deps: Partial<DestinationDeps>) {
    this.#module = module;
    this.#config = config;
    this.deps = { home: '/nowhere', googleUrl: null, airtableUrl: null, pace: new Pace(new QuickClock()), ...deps };
  }

  async run(columns: readonly ResultColumn[], rows: readonly ResultRow[], run?: string): Promise<Outcome> {
    const destination = this.#module.open(this.#module.config.parse(this.#config), this.deps);
    const progress = noProgress();
    const signal = new AbortController().signal;
    try {
      await deliver(destination, resultOf(columns, rows, run), this.ledger, progress, signal);
    } finally {
      await destination.close();
    }
    return progress;
  }
}
