import { DailiesError } from '#catalog/error.ts';
import type { SourcePosition } from './event.ts';

/** Events that a producer sends at once, all or nothing. */
export interface ProducerRequest {
  /** The table's name below its source. */
  table: string;
  /** A JSON array of events, or NDJSON. */
  body: string;
  /** What makes a repeat harmless: whose request this is, and which of theirs, counted without gaps; null if not told. */
  producer: { id: string; sequence: bigint } | null;
}

export interface ProducerReceipt {
  /** The source's position after these events. */
  position: SourcePosition;
  events: number;
  /** True for a request that was taken before. */
  isRepeat: boolean;
}

/** What takes the requests for one source. */
export interface Receiver {
  /** Resolves when the events are durable in the log. */
  receive(request: ProducerRequest): Promise<ProducerReceipt>;
  /** The position after the last request that was taken. */
  head(): SourcePosition;
}

/** Where producers' requests find the source that takes them, in the process that runs it. */
export class Intake {
  readonly #receivers = new Map<string, Receiver>();

  /** Until `leave` is called, requests for the source go to the receiver. */
  join(source: string, receiver: Receiver): { leave(): void } {
    this.#receivers.set(source, receiver);
    return {
      leave: () => {
        if (this.#receivers.get(source) === receiver) this.#receivers.delete(source);
      },
    };
  }

  /**
   * Throws `source_unreachable` while the source does not run: nothing was taken, and it may be sent again. Else as
   * `ProducerSource` says.
   */
  async receive(source: string, request: ProducerRequest): Promise<ProducerReceipt> {
    return this.#receiver(source).receive(request);
  }

  /** Throws `source_unreachable`, too. */
  head(source: string): SourcePosition {
    return this.#receiver(source).head();
  }

  #receiver(source: string): Receiver {
    const receiver = this.#receivers.get(source);
    if (!receiver) throw notRunning(source);
    return receiver;
  }
}

export function notRunning(source: string): DailiesError {
  return new DailiesError(
    'source_unreachable',
    `The source ${source} does not take events at this moment. Send them again in a second, under the same Producer-Sequence.`,
    { details: { source, retryAfterSeconds: 1 } },
  );
}
