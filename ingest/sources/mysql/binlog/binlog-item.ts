import type { UNKNOWN } from '#catalog/schemas/schema.ts';

/** The two families of servers, whose transaction ids, events and handshakes differ. */
export type Flavor = 'mysql' | 'mariadb';

/**
 * What a binary log tells, in its order. Each transaction is `begin`, then `rows` and `query` as they come, then one of
 * `commit`, `rollback`, `prepare`; a DDL statement is a transaction that holds one `query`. Items of one transaction may
 * come in many reads: nothing of a transaction is held back until its end.
 */
export type BinlogItem = BinlogBegin | BinlogRows | BinlogQuery | BinlogEnd | BinlogIdle;

export interface BinlogBegin {
  kind: 'begin';
  /** `0-1-42` (MariaDB: domain-server-sequence), `uuid:42` or `uuid:tag:42` (MySQL). */
  gtid: string;
  /** When it committed on the server it was first made on, microseconds UTC; MariaDB tells whole seconds, of the statement's start. */
  timeMicros: bigint;
  /** Server that made it first. */
  serverId: number;
  /** The log file it stands in, and bytes in it: where its first event ends. Exact beyond 2^32 if reading did not begin there. */
  log: string;
  logPosition: number;
  /**
   * Set if this transaction prepares, commits or rolls back an XA transaction, where that is known from the start
   * (MariaDB); what happens to it is told by `prepare`, or by `xa` of the end.
   */
  xid: string | null;
}

/** Rows of one table that one statement changed, or a part of them; in order. */
export interface BinlogRows {
  kind: 'rows';
  op: 'insert' | 'update' | 'delete';
  /** The same object as long as the table has the same shape in the log. */
  table: BinlogTable;
  /** `before` is null for inserts, `after` for deletes. */
  rows: { before: BinlogRow | null; after: BinlogRow | null }[];
  /** Bytes of the event, for bounds on what is held in memory. */
  bytes: number;
  /** When the statement began, seconds since 1970 UTC. */
  timeSeconds: number;
  /** True if what foreign keys change with these rows is told as rows, too (MySQL from 9.6 on, unless innodb_native_foreign_keys is ON). */
  tellsCascades: boolean;
}

/** A statement that the log holds as text: DDL, and changes of data where binlog_format is not ROW. Never BEGIN, COMMIT, SAVEPOINT; ROLLBACK TO only where tables that cannot go back were changed beside others, so that what of the rows before it holds is not told. */
export interface BinlogQuery {
  kind: 'query';
  /** The statement's default database, empty if it had none. */
  database: string;
  sql: string;
  /** As the statement was understood: bits of @@sql_mode (0x4 ANSI_QUOTES, 0x100000 NO_BACKSLASH_ESCAPES in both families), 0 if not told. */
  sqlMode: bigint;
  timeSeconds: number;
  /** The server's error code the statement ended with, which replicas expect as well; 0 where it succeeded. */
  errorCode: number;
}

export interface BinlogEnd {
  /**
   * `commit`: all of it holds. `rollback`: what was done to transactional tables does not hold (what was done to others,
   * MyISAM, does), or all of it was undone by a crash of the server, which then gives its id again. `prepare`: an XA transaction whose rows wait for the transaction that ends with `xa` of this xid; it
   * may come in any later log, or never.
   */
  kind: 'commit' | 'rollback' | 'prepare';
  gtid: string;
  /** For `prepare`: the XA transaction, as the server prints it: `X'6162',X'',1`. */
  xid: string | null;
  /** Set where this transaction does nothing but end a prepared one. */
  xa: { xid: string; outcome: 'commit' | 'rollback' } | null;
  /** All that was read up to here, as text of a GTID set: where reading goes on after this transaction. */
  position: string;
  log: string;
  /** Where the transaction ends in its log, bytes. */
  logPosition: number;
}

/** The server has nothing more at this moment: everything up to there was handed out. At least once per heartbeat period. */
export interface BinlogIdle {
  kind: 'idle';
  position: string;
  log: string;
  logPosition: number;
}

/** A value for each of the table's columns, in their order; UNKNOWN for those that the row image does not hold. */
export type BinlogRow = (BinlogValue | typeof UNKNOWN)[];

/**
 * | column type   | value                                                                                            |
 * | ------------- | ------------------------------------------------------------------------------------------------ |
 * | integer       | number up to 4 bytes, bigint of 8 bytes; signed or not as the column is                          |
 * | decimal       | bigint, the unscaled value (12.30 at scale 2 is 1230n)                                           |
 * | float, double | number; a float's is the exact one of the 4 bytes                                                |
 * | year          | number: 0 or 1901 … 2155                                                                         |
 * | bit           | bigint, not negative                                                                             |
 * | date          | number, days since 1970-01-01; text `2024-00-15` where it is no day of the calendar, or year 0   |
 * | time          | bigint, microseconds, may be negative and beyond a day                                           |
 * | datetime      | bigint, microseconds since 1970-01-01T00:00:00; text `2024-02-31 00:00:00.000` where it is no moment |
 * | timestamp     | bigint, microseconds UTC; text `0000-00-00 00:00:00` for zero                                    |
 * | text          | string; Uint8Array where the bytes are not text of the column's charset                          |
 * | bytes         | Uint8Array; BINARY(n) has all its n bytes                                                        |
 * | enum          | number, 1 is the first label; 0 is the empty text of an invalid value                            |
 * | set           | bigint, bit 0 is the first label                                                                 |
 * | json          | string as MySQL prints it. MariaDB's JSON is a text column                                       |
 * | geometry      | Uint8Array: 4 bytes of SRID, little-endian, then WKB                                             |
 * | vector        | Uint8Array: floats of 4 bytes, little-endian. MariaDB's is a bytes column                        |
 *
 * Byte arrays are copies of their own.
 */
export type BinlogValue = null | number | bigint | string | Uint8Array;

export type BinlogColumnType =
  | { kind: 'integer'; bytes: 1 | 2 | 3 | 4 | 8; isUnsigned: boolean }
  | { kind: 'decimal'; precision: number; scale: number; isUnsigned: boolean }
  | { kind: 'float' | 'double'; isUnsigned: boolean }
  | { kind: 'year' | 'date' | 'json' }
  | { kind: 'bit'; bits: number }
  /** `scale`: digits of the fraction of a second, 0 to 6. */
  | { kind: 'time' | 'datetime' | 'timestamp'; scale: number }
  /** `maxBytes`: of the type, not of a value. `isFixed`: CHAR, BINARY. MariaDB's UUID, INET4, INET6 are `bytes` here. */
  | { kind: 'text'; charset: string; maxBytes: number; isFixed: boolean }
  | { kind: 'bytes'; maxBytes: number; isFixed: boolean }
  | { kind: 'enum' | 'set'; labels: readonly string[] }
  /** `geometryType`: 0 geometry, 1 point, 2 linestring, 3 polygon, 4 multipoint, 5 multilinestring, 6 multipolygon, 7 collection. */
  | { kind: 'geometry'; geometryType: number }
  | { kind: 'vector' };

export interface BinlogColumn {
  name: string;
  type: BinlogColumnType;
  isNullable: boolean;
  /** False for columns that `SELECT *` leaves out; MariaDB's log does not tell them: true. */
  isVisible: boolean;
}

/** A table as it was when the log was written. Needs binlog_row_metadata = FULL then; stored generated columns are among its columns, virtual ones only where the server logs them. */
export interface BinlogTable {
  database: string;
  name: string;
  columns: readonly BinlogColumn[];
  /** Indexes of the primary key's columns in key order, empty without a key. */
  key: readonly number[];
  /** For each column of `key`, how many characters of it the key holds, 0 for all. */
  keyPrefixes: readonly number[];
}
