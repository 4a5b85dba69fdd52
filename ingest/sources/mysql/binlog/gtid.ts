import type { Flavor } from './binlog-item.ts';
import { MariadbGtidSet } from './mariadb-gtid-set.ts';
import { MysqlGtidSet } from './mysql-gtid-set.ts';

/**
 * Transactions of a server's history. MySQL: for each source (and tag) intervals of numbers. MariaDB: for each domain the
 * last transaction, which stands for all before it. Two sets of different families are never compared: `source_protocol`.
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
  /** A new set of what either holds. */
  union(other: GtidSet): GtidSet;
  /** How many transactions of this set `other` lacks. For MariaDB by their numbers, which may have gaps. */
  countBeyond(other: GtidSet): bigint;
}

/** Parses what `toString`, @@gtid_executed, @@gtid_current_pos … hold; blanks and line ends between parts are allowed. Throws `source_protocol`. */
export function parseGtidSet(flavor: Flavor, text: string): GtidSet {
  return flavor === 'mysql' ? MysqlGtidSet.parse(text) : MariadbGtidSet.parse(text);
}
