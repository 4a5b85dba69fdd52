import type { ConnectionOptions } from 'node:tls';
import type { BinlogItem, Flavor } from './binlog-item.ts';

/** Where and as whom to connect. */
export interface ServerAddress {
  host: string;
  port: number;
  user: string;
  password: string;
  /** A Unix socket to use in place of host and port. */
  socketPath?: string;
  /** Null: never encrypted. `isRequired` false: encrypted if the server can (with no proof of who it is, unless `options` ask for it). */
  tls: { isRequired: boolean; options: ConnectionOptions } | null;
}

export interface BinlogOptions {
  flavor: Flavor;
  server: ServerAddress;
  /** Ours among the server's replicas, 1 to 2^32 − 1. A second reader with the same id ends the first one. */
  serverId: number;
  /** GTID set text: transactions in it are not sent. Empty: everything since the server's first log. */
  from: string;
  /** How often the server speaks when it has nothing to say; after four times as long without a byte it counts as lost. 1000 if not given. */
  heartbeatMs?: number;
  /** Asked before each statement's rows: rows of other tables are passed over without being decoded. */
  wants(database: string, table: string): boolean;
}

/** A server's binary log from a place on, as one replica reads it. */
export interface BinlogStream {
  /**
   * What comes next, at least one item, at most about 1 MB of log (an event that is larger comes alone); null once closed.
   * The server is read no further than about 4 MB ahead; a reader may take hours between two reads.
   *
   * Throws, once and for all: `source_slot_lost` where the server no longer has what follows `from` (purged, or another
   * server's history); `source_unreachable` where the connection broke, was ended or fell silent; `source_not_ready` where
   * a server's setting is in the way (with the statement); `source_protocol` for bytes that cannot be (checksum, unknown
   * event); `type_unsupported`, `value_unsupported` with table and column. After an error what was read holds; the rest
   * of a begun transaction comes again, from its `begin`, when another stream is opened at the last commit's position.
   */
  read(): Promise<readonly BinlogItem[] | null>;
  /** Ends the connection; a read that waits gives null. May be repeated. */
  close(): Promise<void>;
}

/** Connects as a replica and begins to read. Errors as `read`'s, and `source_refused` for user, password, certificates. */
export type OpenBinlog = (options: BinlogOptions, signal: AbortSignal) => Promise<BinlogStream>;
