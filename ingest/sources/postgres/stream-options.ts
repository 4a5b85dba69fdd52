import type pg from 'pg';
import type { LogicalMessage, RelationMessage } from './pgoutput.ts';
import type { Relation } from './relation.ts';
import type { Announced } from './schema-follower.ts';

export interface StreamOptions {
  /** A replication connection that runs nothing else. */
  client: pg.Client;
  slot: string;
  publications: readonly string[];
  /** Transactions that committed before it are left out. */
  from: bigint;
  /** When the source was known to be at `from`, 0 if unknown. */
  fromMicros: bigint;
  /** Events of `tables` in transactions that committed before `position` are left out, and the stream stops there once. */
  barrier: { position: bigint; tables: ReadonlySet<string> } | null;
  /** The shape of a table that the stream announces in this transaction; null for one that is not wanted. */
  resolve(message: RelationMessage, transaction: { commitLsn: bigint; xid: number }): Promise<Relation | null>;
  /**
   * Where given, it is told what our event triggers write, within a transaction that commits there, and answers which shapes
   * are to be announced in its place. `isPast`: of a transaction that is left out.
   */
  takeDdl?: (content: Buffer, place: { commitLsn: bigint; isPast: boolean }) => Promise<Announced[]>;
  /** Those of these subtransactions of a committed transaction, if it has any, that were rolled back. */
  rolledBack(xids: readonly number[]): Promise<ReadonlySet<number>>;
  /** Where the server's history ends, and the server's time just before that was asked. */
  head(): Promise<{ position: bigint; timeMicros: bigint }>;
  /** Writes something into the server's history that the stream will pass. */
  heartbeat(): Promise<void>;
  /** Where given, it is told what applications write with pg_logical_emit_message, in the order of the stream. */
  logicalMessage?: (message: LogicalMessage) => void;
  /** A longer change is refused; `maxMessageBytes` where not given. */
  maxMessageBytes?: number;
}
