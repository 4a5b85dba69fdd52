import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';

/** One that has been silent for so long is forgotten. */
const keptMs = 30 * 24 * 3600_000;
/** So many answers of each producer are kept, for repeats of requests that overlapped. */
const keptAnswers = 64;

const answersSchema = z.array(z.tuple([z.string(), z.string()]));
export const storedSequences = z.record(z.string(), z.object({ answers: answersSchema, atMs: z.number() }));
export type StoredSequences = z.infer<typeof storedSequences>;

interface Producer {
  /** Sequence → position of the answer, oldest first; never empty. */
  answers: Map<bigint, string>;
  last: bigint;
  atMs: number;
}

/** The last requests of each producer, by which a repeat is known and a gap is seen. */
export class Sequences {
  readonly #producers = new Map<string, Producer>();

  /**
   * The position that the request was answered with, if it is a repeat; null for one that is new and next in line. Throws
   * `conflict` for one after a gap, or so old that its answer is forgotten.
   */
  answered(id: string, sequence: bigint): string | null {
    const producer = this.#producers.get(id);
    if (!producer) return null;
    const answer = producer.answers.get(sequence);
    if (answer !== undefined) return answer;
    if (sequence === producer.last + 1n) return null;
    const details = { producer: id, sequence: String(sequence), expected: String(producer.last + 1n) };
    const problem =
      sequence > producer.last
        ? `Requests before it are missing: after ${producer.last} comes ${producer.last + 1n}`
        : `It was taken long ago, and its answer is forgotten; the next is ${producer.last + 1n}`;
    throw new DailiesError(
      'conflict',
      `Producer-Sequence ${sequence} of the producer ${id} does not follow. ${problem}.`,
      {
        details,
      },
    );
  }

  record(id: string, sequence: bigint, position: string, atMs: number): void {
    const producer = this.#producers.get(id) ?? { answers: new Map(), last: sequence, atMs };
    producer.answers.set(sequence, position);
    if (sequence > producer.last) producer.last = sequence;
    producer.atMs = atMs;
    for (const old of producer.answers.keys()) {
      if (producer.answers.size <= keptAnswers) break;
      producer.answers.delete(old);
    }
    this.#producers.set(id, producer);
  }

  restore(stored: StoredSequences): void {
    for (const [id, { answers, atMs }] of Object.entries(stored)) {
      for (const [sequence, position] of answers) this.record(id, BigInt(sequence), position, atMs);
    }
  }

  /** Without what is not durable up to this position: a request that is lost on its way was never taken. */
  toStored(upTo: bigint, nowMs: number): StoredSequences {
    const stored: StoredSequences = {};
    for (const [id, { answers, atMs }] of this.#producers) {
      if (nowMs - atMs > keptMs) this.#producers.delete(id);
      const durable = [...answers].filter(([, position]) => BigInt(position) <= upTo);
      if (durable.length === 0) continue;
      stored[id] = { answers: durable.map(([sequence, position]) => [String(sequence), position]), atMs };
    }
    return stored;
  }
}
