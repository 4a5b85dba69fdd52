import type { State } from '#catalog/state/state.ts';
import { stateError } from '#catalog/state/state-error.ts';
import { wait } from '#catalog/wait.ts';
import type { Source, SourceWarning } from '../source.ts';

const askWithinMs = 30_000;

export interface SourceWarningsOptions {
  state: State;
  source: string;
  everyMs: number;
  /** The source as it runs, null where it does not. */
  running(): Source | null;
  /** One to be asked in its place, which is closed again. */
  open(): Promise<Source>;
  report(line: string): void;
}

/**
 * Asks a source from time to time what threatens it, whether it runs or has failed, and keeps the answer in the state with
 * the time since when it holds. Each warning is reported once when it begins and once when it ends.
 */
export class SourceWarnings {
  readonly #options: SourceWarningsOptions;
  readonly #closing = new AbortController();
  /** By code, as the state has them; null before they were read. */
  #known: Map<string, string> | null = null;
  /** What the runtime itself has to say, by code. */
  readonly #own = new Map<string, string>();
  /** Why the source could not be asked when it was last tried. */
  #unasked: string | null = null;
  #asked: readonly SourceWarning[] | null = null;
  #loop: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};

  constructor(options: SourceWarningsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Adds a warning of the runtime's own, soon. */
  raise(code: string, message: string): void {
    this.#own.set(code, message);
    this.#wake();
  }

  lower(code: string): void {
    if (this.#own.delete(code)) this.#wake();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await wait(this.#options.everyMs, AbortSignal.any([signal, woken.signal]));
      if (signal.aborted) return;
      const { source, report } = this.#options;
      if (!woken.signal.aborted) await this.#ask(signal);
      try {
        await this.#keep();
      } catch (thrown) {
        report(`source ${source}: its warnings could not be stored: ${stateError(thrown).message}`);
      }
    }
  }

  /** What was answered before stays where there is no answer. */
  async #ask(signal: AbortSignal): Promise<void> {
    const { state, source: name, report } = this.#options;
    let opened: Source | null = null;
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(askWithinMs)]);
      const row = await state.source.findUnique({ where: { name }, select: { position: true, coveredAt: true } });
      const running = this.#options.running();
      opened = running === null ? await this.#options.open() : null;
      const asked = running ?? opened;
      const reached = { position: row?.position ?? null, at: row?.coveredAt ?? null };
      this.#asked = (await asked?.warnings?.(reached, within)) ?? [];
      this.#unasked = null;
    } catch (thrown) {
      if (signal.aborted) return;
      const { message } = stateError(thrown);
      if (message !== this.#unasked) report(`source ${name}: what threatens it cannot be asked: ${message}`);
      this.#unasked = message;
    } finally {
      await opened?.close();
    }
  }

  async #keep(): Promise<void> {
    const { state, source: sourceName, report } = this.#options;
    if (this.#known === null) {
      const rows = await state.sourceWarning.findMany({ where: { sourceName } });
      this.#known = new Map(rows.map(({ code, message }) => [code, message]));
    }
    // Until the source has answered once, what an earlier process heard of it holds.
    const asked = this.#asked?.map(({ code, message }) => [code, message] as const) ?? this.#known;
    const now = new Map([...asked, ...this.#own]);
    for (const [code, message] of now) {
      const before = this.#known.get(code);
      if (before === message) continue;
      const where = { sourceName_code: { sourceName, code } };
      await state.sourceWarning.upsert({ where, create: { sourceName, code, message }, update: { message } });
      this.#known.set(code, message);
      if (before === undefined) report(`source ${sourceName}: warning: ${message}`);
    }
    for (const code of [...this.#known.keys()]) {
      if (now.has(code)) continue;
      await state.sourceWarning.deleteMany({ where: { sourceName, code } });
      this.#known.delete(code);
      report(`source ${sourceName}: the warning ${code} is over`);
    }
  }
}
