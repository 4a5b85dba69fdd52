import { randomUUID } from 'node:crypto';
import { type EventProblem, eventText, ProducerError, type ProducerEvent } from './events.ts';
import { type Accepted, Journal, type JournalState } from './journal.ts';
import { deliver, type TransportOptions } from './transport.ts';

export { type EventProblem, ProducerError, type ProducerEvent };

export interface ProducerOptions {
  /** Where Dailies serves: `http://localhost:3000`. */
  url: string;
  /** An API token of the role `owner`. */
  token: string;
  /** The source of the kind `producer`, as the definition names it. */
  source: string;
  /** A file that keeps what was accepted until Dailies has it, across crashes and restarts. One producer to a file. */
  journal?: string;
  /**
   * Told of events that Dailies refused after they were accepted into the journal; needed with a journal. What it throws ends
   * the producer.
   */
  onRefused?: (refused: { table: string; events: ProducerEvent[]; error: ProducerError }) => void | Promise<void>;
  /** Events, and bytes, that one request holds at most: 1,000 and 1 MiB. */
  batchEvents?: number;
  batchBytes?: number;
  /** How long an event waits for others to share its request: 5 ms. */
  lingerMs?: number;
  /** `send` waits while more than so many bytes are accepted and not delivered: 32 MiB. */
  maxBufferedBytes?: number;
  /** 30 s; see `deliver`. */
  timeoutMs?: number;
  /** How long a request is tried before it is given up and the producer ends: for ever. */
  giveUpAfterMs?: number;
  fetch?: typeof fetch;
}

interface Waiting extends Accepted {
  delivered: PromiseWithResolvers<void>;
}

/**
 * Sends events to one source of Dailies, in the order of `send`, each exactly once whatever is repeated: one request at a time,
 * numbered, under an id of its own. Events of one `send` are taken together or not at all.
 *
 * Without a journal `send` resolves when Dailies has the events on disk, and rejects where it refuses them; what was not
 * resolved when the program died may or may not have been taken. With one, it resolves when the events are in the journal:
 * from there they are delivered, after a crash too, exactly once.
 */
export class Producer implements AsyncDisposable {
  readonly #options: ProducerOptions &
    Required<Pick<ProducerOptions, 'batchEvents' | 'batchBytes' | 'lingerMs' | 'maxBufferedBytes'>>;
  readonly #transport: TransportOptions;
  readonly #journal: Journal | null;
  readonly #id: string;
  #next: bigint;
  /** Accepted and not answered, in order. */
  #waiting: Waiting[] = [];
  /** Requests of the last run, which must be made of the same events again. */
  #made: JournalState['made'];
  #bufferedBytes = 0;
  #accepted: number;
  readonly #end = new AbortController();
  #failure: Error | null = null;
  #isClosing = false;
  #delivering: Promise<void> | null = null;
  #accepting: Promise<unknown> = Promise.resolve();
  /** Resolved when something was answered. */
  #progress = withResolvers<void>();

  private constructor(options: ProducerOptions, journal: Journal | null, state: JournalState) {
    const { batchEvents = 1000, batchBytes = 1 << 20, lingerMs = 5, maxBufferedBytes = 32 << 20 } = options;
    this.#options = { ...options, batchEvents, batchBytes, lingerMs, maxBufferedBytes };
    const { url, token, source, timeoutMs = 30_000, giveUpAfterMs = Number.POSITIVE_INFINITY } = options;
    this.#transport = { url, token, source, timeoutMs, giveUpAfterMs, fetch: options.fetch ?? fetch };
    this.#journal = journal;
    this.#id = state.id;
    this.#next = state.made?.sequence ?? state.next;
    this.#made = state.made;
    this.#accepted = state.accepted;
    for (const accepted of state.waiting) this.#enqueue(accepted);
    this.#startDelivering();
  }

  /** Delivery of what a journal holds from the last run begins at once. Throws where the journal cannot be read or written. */
  static async open(options: ProducerOptions): Promise<Producer> {
    if (options.journal === undefined) {
      return new Producer(options, null, { id: randomUUID(), next: 1n, accepted: 0, waiting: [], made: null });
    }
    if (!options.onRefused) throw new TypeError('A producer with a journal needs onRefused.');
    const { journal, state } = await Journal.open(options.journal);
    return new Producer(options, journal, state);
  }

  /**
   * Throws ProducerError where Dailies refuses the events (`problems` says which and why), or the producer has ended: on a
   * gap in its sequence, on giving up, when closed. Waits while too much is buffered.
   */
  async send(table: string, events: ProducerEvent | readonly ProducerEvent[]): Promise<void> {
    const list = Array.isArray(events) ? (events as readonly ProducerEvent[]) : [events as ProducerEvent];
    if (list.length === 0) return;
    const accepted: Accepted = {
      table,
      lines: list.map((event) => `${eventText(event)}\n`).join(''),
      events: list.length,
    };
    // One after the other, so that the order of calls is that of the events.
    const turn = this.#accepting.then(() => this.#accept(accepted));
    this.#accepting = turn.catch(() => undefined);
    const waiting = await turn;
    if (!this.#journal) await waiting.delivered.promise;
  }

  /**
   * How many calls of `send` were accepted, since the journal was made if there is one: by it a program that died, and counts
   * its own, knows whether the last one got in.
   */
  get accepted(): number {
    return this.#accepted;
  }

  /** Resolves when everything that was sent before is delivered, or told as refused. */
  async flush(): Promise<void> {
    await this.#accepting;
    await this.#waiting.at(-1)?.delivered.promise.catch(() => undefined);
    if (this.#failure) throw this.#failure;
  }

  /** Delivers what waits for up to `withinMs`; the rest stays in the journal, or is refused without one. */
  async close(withinMs = 30_000): Promise<void> {
    this.#isClosing = true;
    await this.#accepting;
    const timer = setTimeout(() => this.#end.abort(), withinMs);
    await this.#delivering;
    clearTimeout(timer);
    this.#fail(ended('was closed'));
    await this.#journal?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #accept(accepted: Accepted): Promise<Waiting> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      if (this.#isClosing) throw ended('was closed');
      if (this.#bufferedBytes === 0 || this.#bufferedBytes + accepted.lines.length <= this.#options.maxBufferedBytes)
        break;
      await this.#progress.promise;
    }
    const { table, lines, events } = accepted;
    await this.#journal?.append([{ send: [table, lines, events] }]);
    this.#accepted += 1;
    const waiting = this.#enqueue(accepted);
    this.#startDelivering();
    return waiting;
  }

  #enqueue(accepted: Accepted): Waiting {
    const waiting: Waiting = { ...accepted, delivered: withResolvers<void>() };
    // Whoever waits for it hears of a failure; with a journal nobody has to wait.
    waiting.delivered.promise.catch(() => undefined);
    this.#waiting.push(waiting);
    this.#bufferedBytes += accepted.lines.length;
    return waiting;
  }

  #startDelivering(): void {
    if (this.#waiting.length === 0) return;
    this.#delivering ??= this.#deliverAll().finally(() => {
      this.#delivering = null;
    });
  }

  async #deliverAll(): Promise<void> {
    try {
      if (this.#made === null) await new Promise((resolve) => setTimeout(resolve, this.#options.lingerMs));
      while (this.#waiting.length > 0 && !this.#end.signal.aborted) await this.#deliverNext();
    } catch (thrown) {
      this.#fail(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  async #deliverNext(): Promise<void> {
    const sequence = this.#next;
    const again = this.#made;
    this.#made = null;
    const batch = this.#waiting.slice(0, again?.sends ?? this.#batchLength());
    if (!again) await this.#journal?.append([{ request: String(sequence), sends: batch.length }]);
    const request = {
      id: this.#id,
      sequence,
      table: batch[0]?.table ?? '',
      body: batch.map(({ lines }) => lines).join(''),
    };
    let refused: ReadonlyMap<Waiting, ProducerError> = new Map();
    try {
      await deliver(this.#transport, request, this.#end.signal);
      this.#next = sequence + 1n;
    } catch (thrown) {
      if (!(thrown instanceof ProducerError) || thrown.status === null || thrown.code === 'conflict') throw thrown;
      refused = blame(batch, thrown);
    }
    // Of a refused request nothing was taken: its number is free for those who are not to blame.
    const rest = batch.filter((waiting) => refused.size > 0 && !refused.has(waiting));
    const done = batch.filter((waiting) => !rest.includes(waiting));
    for (const waiting of done) await this.#tellRefused(waiting, refused.get(waiting));
    this.#waiting.splice(0, batch.length, ...rest);
    await this.#note(done.length, refused.size > 0);
    for (const waiting of done) {
      this.#bufferedBytes -= waiting.lines.length;
      const error = refused.get(waiting);
      if (error) waiting.delivered.reject(error);
      else waiting.delivered.resolve();
    }
    this.#progress.resolve();
    this.#progress = withResolvers<void>();
  }

  /** With a journal nobody waits for the answer any more. */
  async #tellRefused({ table, lines }: Waiting, error: ProducerError | undefined): Promise<void> {
    if (!error || !this.#journal) return;
    const events = lines
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ProducerEvent);
    await this.#options.onRefused?.({ table, events, error });
  }

  /** Where some of a request were refused, others stay: what waits is no longer the end of what the journal holds. */
  async #note(done: number, isReordered: boolean): Promise<void> {
    const state = { id: this.#id, next: this.#next, accepted: this.#accepted, waiting: this.#waiting, made: null };
    if (isReordered) await this.#journal?.rewrite(state);
    else {
      await this.#journal?.append([{ done: String(this.#next), sends: done }]);
      await this.#journal?.compact(state);
    }
  }

  /** The first sends that may share a request: of one table, within the limits. */
  #batchLength(): number {
    let [events, bytes, count] = [0, 0, 0];
    for (const waiting of this.#waiting) {
      events += waiting.events;
      bytes += waiting.lines.length;
      if (
        count > 0 &&
        (waiting.table !== this.#waiting[0]?.table ||
          events > this.#options.batchEvents ||
          bytes > this.#options.batchBytes)
      )
        break;
      count += 1;
    }
    return count;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { delivered } of this.#waiting.splice(0)) delivered.reject(this.#failure);
    this.#progress.resolve();
  }
}

/** Which sends of a refused request are to blame: those of the events that Dailies names, with their own numbers; else all. */
function blame(batch: readonly Waiting[], error: ProducerError): Map<Waiting, ProducerError> {
  const blamed = new Map<Waiting, ProducerError>();
  let first = 0;
  for (const waiting of batch) {
    const problems = error.problems
      .filter(({ index }) => index >= first && index < first + waiting.events)
      .map((problem) => ({ ...problem, index: problem.index - first }));
    first += waiting.events;
    if (problems.length === 0) continue;
    const [one] = problems;
    const message = batch.length === 1 ? error.message : `Event ${one?.index}, ${one?.field ?? 'it'} ${one?.message}`;
    blamed.set(waiting, new ProducerError(message, { status: error.status, code: error.code, problems }));
  }
  return blamed.size > 0 ? blamed : new Map(batch.map((waiting) => [waiting, error]));
}

function ended(how: string): ProducerError {
  return new ProducerError(`The producer ${how}.`, { code: 'closed' });
}

/** Promise.withResolvers, which Node 20 lacks. */
function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: PromiseWithResolvers<T>['resolve'];
  let reject!: PromiseWithResolvers<T>['reject'];
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
