import { DailiesError } from '#catalog/error.ts';
import type { Relation } from './relation.ts';

/** Null: a table whose events are not wanted. */
interface Known {
  relation: Relation | null;
  arrival: number;
}

/**
 * The tables that the stream has described. The server describes a table anew in each transaction that it tells while that is
 * under way, and once for all others; which of the two is in force after such a transaction has committed is what it told
 * last, for it forgets both whenever the table may have changed.
 */
export class KnownRelations {
  readonly #known = new Map<number, Known>();
  /** Of the transaction that is told from its spool. */
  #replayed: Map<number, Known> | null = null;
  #arrivals: readonly number[] = [];
  #next = 0;
  #lastArrival = 0;

  /** The place of a description that comes now among all that the stream has told. */
  nextArrival(): number {
    this.#lastArrival += 1;
    return this.#lastArrival;
  }

  add(oid: number, relation: Relation | null): void {
    if (this.#replayed === null) this.#known.set(oid, { relation, arrival: this.nextArrival() });
    else this.#replayed.set(oid, { relation, arrival: this.#arrivals[this.#next++] ?? 0 });
  }

  /** Throws `source_protocol` for a table that was not described. */
  of(oid: number): Relation | null {
    const known = (this.#replayed ?? this.#known).get(oid);
    if (known !== undefined) return known.relation;
    throw new DailiesError(
      'source_protocol',
      `The stream tells a change of table ${oid}, which it has not described.`,
      { details: { oid } },
    );
  }

  /** Until `endReplay`, only what the spool itself describes is known; `arrivals` are those of its descriptions. */
  beginReplay(arrivals: readonly number[]): void {
    this.#replayed = new Map();
    this.#arrivals = arrivals;
    this.#next = 0;
  }

  endReplay(): void {
    for (const [oid, replayed] of this.#replayed ?? []) {
      const known = this.#known.get(oid);
      if (known === undefined || known.arrival < replayed.arrival) this.#known.set(oid, replayed);
    }
    this.#replayed = null;
  }

  /** Takes over text columns that other readers of these tables have needed meanwhile. */
  refresh(): void {
    for (const { relation } of this.#known.values()) relation?.refresh();
  }
}
