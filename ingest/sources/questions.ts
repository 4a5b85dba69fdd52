import type { DailiesError } from '#catalog/error.ts';
import { unlessAborted } from '#catalog/wait.ts';

/** What a driver's connection needs, to be asked over. */
export interface Driver<Connection> {
  /** Connects, or throws an error that says what to do; rejects once the signal is aborted. */
  connect(signal: AbortSignal): Promise<Connection>;
  /** Ends a connection at once; whatever is under way on it fails. */
  cut(connection: Connection): void;
  /** Takes leave of an idle connection. */
  end(connection: Connection): Promise<void>;
  /** What a question failed with, as an error that says what to do. */
  errorOf(thrown: unknown): DailiesError;
}

/** A connection that tells when it has ended or broken. */
interface Mortal {
  once(event: 'end' | 'error', listener: () => void): unknown;
}

const endWithinMs = 2_000;

/**
 * One connection for all that a source is asked beside its stream: opened at the first question, and anew at the next one
 * after it broke.
 */
export class Questions<Connection extends Mortal> {
  readonly #driver: Driver<Connection>;
  readonly #withinMs: number;
  readonly #closing = new AbortController();
  #opened: Promise<Connection> | null = null;

  /** A question that takes longer than `withinMs` is cut off, and its connection with it. */
  constructor(driver: Driver<Connection>, withinMs: number) {
    this.#driver = driver;
    this.#withinMs = withinMs;
  }

  /** What `question` gives; throws the signal's reason once it is aborted, else what `errorOf` says. */
  async ask<T>(
    signal: AbortSignal,
    question: (connection: Connection) => Promise<T>,
    withinMs = this.#withinMs,
  ): Promise<T> {
    signal.throwIfAborted();
    const opened = this.#opened ?? this.#open();
    const connection = await unlessAborted(opened, signal);
    const timer = setTimeout(() => this.#driver.cut(connection), withinMs);
    try {
      return await unlessAborted(question(connection), signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const error = this.#driver.errorOf(thrown);
      if (error.code === 'source_unreachable') {
        this.#forget(opened);
        this.#driver.cut(connection);
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the connection, and one that is being made. */
  async close(): Promise<void> {
    this.#closing.abort();
    const connection = await this.#opened?.catch(() => null);
    this.#opened = null;
    if (!connection) return;
    // A server that is silent would never agree to the end.
    const timer = setTimeout(() => this.#driver.cut(connection), endWithinMs);
    try {
      await this.#driver.end(connection);
    } finally {
      clearTimeout(timer);
    }
  }

  #open(): Promise<Connection> {
    const opened = this.#driver.connect(this.#closing.signal);
    this.#opened = opened;
    const forget = () => this.#forget(opened);
    opened.then((connection) => {
      connection.once('end', forget);
      connection.once('error', forget);
    }, forget);
    return opened;
  }

  /** The next question makes a connection; one that was made since is kept. */
  #forget(opened: Promise<Connection>): void {
    if (this.#opened === opened) this.#opened = null;
  }
}
