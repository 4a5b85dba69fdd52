import type { Flavor } from './binlog-item.ts';

/**
 * Transactions of a server's history. MySQL: for each source (and tag) intervals of numbers. MariaDB: for each domain the
 * last transaction, which stands for all before it. Immutable but for `add`.
 */
export interface GtidSet {
  /** As the server prints it: sorted, without blanks; empty text for the empty set. */
  toString(): string;
  /** Adds one transaction, in place. Throws `source_protocol` if the text is no GTID. */
  add(gtid: string): void;
  has(gtid: string): boolean;
  /** Whether everything of `other` is in this one. */
  contains(other: GtidSet): boolean;
  equals(other: GtidSet): boolean;
  union(other: GtidSet): GtidSet;
  /** How many transactions of this set `other` lacks. For MariaDB by their numbers, which may have gaps. */
  countBeyond(other: GtidSet): bigint;
}

/** Parses what `toString`, @@gtid_executed, @@gtid_current_pos … hold; blanks and line ends between parts are allowed. Throws `source_protocol`. */
export type ParseGtidSet = (flavor: Flavor, text: string) => GtidSet;
