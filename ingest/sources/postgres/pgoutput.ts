import { DailiesError } from '#catalog/error.ts';
import { type Row, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { Op } from '../../event.ts';
import { malformed } from './decode-value.ts';
import type { Relation } from './relation.ts';

/** Microseconds from 1970-01-01 to Postgres's epoch, 2000-01-01. */
export const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n;

export interface RelationMessage {
  oid: number;
  schemaName: string;
  tableName: string;
  /** pg_class.relreplident: d, n, f or i. */
  identity: string;
  columns: { name: string; typeOid: number; typmod: number; isKey: boolean }[];
}

/** Where a commit's record begins and ends, and when it was. */
export interface Commit {
  commitLsn: bigint;
  endLsn: bigint;
  timeMicros: bigint;
}

/** What an application wrote with pg_logical_emit_message. */
export interface LogicalMessage {
  isTransactional: boolean;
  lsn: bigint;
  prefix: string;
  content: Buffer;
}

/** What a reader of the stream is told, in the order of the stream. */
export interface PgoutputHandler {
  /** `commitLsn` is where the commit record begins. */
  begin(commitLsn: bigint, timeMicros: bigint, xid: number): void;
  commit(commit: Commit): void;
  relation(message: RelationMessage): void;
  /** The shape of a table, or null where its events are not wanted. */
  relationOf(oid: number): Relation | null;
  event(relation: Relation, op: Op, before: Row | null, after: Row | null): void;
  /** The row just given under a new key lacks unchanged TOAST values, which nobody holds under that key. */
  movedWithout(relation: Relation, row: (Value | typeof UNKNOWN)[]): void;
  logicalMessage(message: LogicalMessage): void;
  streamStart(xid: number, isFirst: boolean): void;
  streamStop(): void;
  streamAbort(xid: number, subxid: number): void;
  streamCommit(xid: number, commit: Commit): void;
}

/**
 * Reads one message of the logical replication protocol, versions 1 to 4
 * (postgresql.org/docs/current/protocol-logicalrep-message-formats.html), which lies in `bytes` from `at` to `end`. Strings end
 * with a zero byte, integers are big-endian:
 *
 *     B  Int64 final LSN · Int64 commit time · Int32 xid
 *     C  Int8 flags · Int64 commit LSN · Int64 end LSN · Int64 commit time
 *     R  Int32 oid · String schema · String table · Int8 identity · Int16 n · n × (Int8 key flag · String name · Int32 type · Int32 typmod)
 *     Y  Int32 oid · String schema · String type
 *     O  Int64 LSN · String name
 *     M  Int8 transactional · Int64 LSN · String prefix · Int32 length · content
 *     I  Int32 oid · N TupleData
 *     U  Int32 oid · [K|O TupleData] · N TupleData
 *     D  Int32 oid · K|O TupleData
 *     T  Int32 n · Int8 options (1 cascade, 2 restart identity) · n × Int32 oid, all that were emptied
 *     S  Int32 xid · Int8 first          E  (nothing)
 *     A  Int32 xid · Int32 subxid [· Int64 LSN · Int64 time]
 *     c  Int32 xid · Int8 flags · Int64 commit LSN · Int64 end LSN · Int64 commit time
 *
 * `hasXid`: between S and E all but O have an Int32 behind their first byte, the (sub)transaction's id. Everything of a message
 * is looked at before any of it is told; throws `source_protocol` where it is cut, too long, or not of these.
 */
export function readMessage(bytes: Buffer, at: number, end: number, hasXid: boolean, handler: PgoutputHandler): void {
  const start = hasXid ? at + 5 : at + 1;
  switch (bytes[at]) {
    case 73: // I
      readInsert(bytes, start, end, handler);
      return;
    case 85: // U
      readUpdate(bytes, start, end, handler);
      return;
    case 68: // D
      readDelete(bytes, start, end, handler);
      return;
    case 66: // B
      mustEnd(start + 20, end);
      handler.begin(bytes.readBigUInt64BE(start), epochMicros(bytes, start + 8), bytes.readUInt32BE(start + 16));
      return;
    case 67: // C
      handler.commit(readCommit(bytes, start, end));
      return;
    case 82: // R
      handler.relation(readRelation(bytes, start, end));
      return;
    case 84: // T
      readTruncate(bytes, start, end, handler);
      return;
    case 89: // Y
      mustEnd(stringEnd(bytes, stringEnd(bytes, start + 4, end), end), end);
      return;
    case 79: // O
      mustEnd(stringEnd(bytes, (hasXid ? at + 1 : start) + 8, end), end);
      return;
    case 77: // M
      handler.logicalMessage(readLogicalMessage(bytes, start, end));
      return;
    default:
      readStreamMessage(bytes, at, end, handler);
  }
}

/** The messages about transactions under way, which never lie within one. */
function readStreamMessage(bytes: Buffer, at: number, end: number, handler: PgoutputHandler): void {
  switch (bytes[at]) {
    case 83: // S
      mustEnd(at + 6, end);
      handler.streamStart(bytes.readUInt32BE(at + 1), bytes[at + 5] === 1);
      return;
    case 69: // E
      mustEnd(at + 1, end);
      handler.streamStop();
      return;
    case 65: // A
      // The two longer fields come with streaming = parallel.
      if (end !== at + 25) mustEnd(at + 9, end);
      handler.streamAbort(bytes.readUInt32BE(at + 1), bytes.readUInt32BE(at + 5));
      return;
    case 99: // c
      handler.streamCommit(bytes.readUInt32BE(at + 1), readCommit(bytes, at + 5, end));
      return;
    case 98: // b
    case 80: // P
    case 75: // K
    case 114: // r
    case 112: // p
      throw new DailiesError(
        'source_protocol',
        'The replication slot tells prepared transactions before they commit, for somebody made it with two_phase; it is made anew.',
      );
    default:
      throw new DailiesError('source_protocol', 'The server sent a replication message of an unknown kind.', {
        details: { kind: bytes[at] },
      });
  }
}

function readInsert(bytes: Buffer, at: number, end: number, handler: PgoutputHandler): void {
  const relation = handler.relationOf(bytes.readUInt32BE(at));
  if (!relation) return;
  if (bytes[at + 4] !== 78) throw malformed();
  const after = relation.decodeTuple(bytes, at + 5, end, false, null);
  mustEnd(relation.end, end);
  handler.event(relation, 'c', null, after);
}

function readUpdate(bytes: Buffer, at: number, end: number, handler: PgoutputHandler): void {
  const relation = handler.relationOf(bytes.readUInt32BE(at));
  if (!relation) return;
  const tag = bytes[at + 4];
  if (tag === 78) {
    const after = relation.decodeTuple(bytes, at + 5, end, false, null);
    mustEnd(relation.end, end);
    handler.event(relation, 'u', null, after);
    return;
  }
  const isKeyOnly = tag === 75;
  if (!isKeyOnly && tag !== 79) throw malformed();
  const before = relation.decodeTuple(bytes, at + 5, end, isKeyOnly, null);
  if (bytes[relation.end] !== 78) throw malformed();
  const after = relation.decodeTuple(bytes, relation.end + 1, end, false, isKeyOnly ? null : before);
  mustEnd(relation.end, end);
  relation.widen(before);
  // A long key that has not changed is left out of the new row, and then always in the old one.
  for (const index of relation.keyIndexes) if (after[index] === UNKNOWN) after[index] = before[index] ?? null;
  if (!isKeyChanged(relation, before, after)) {
    handler.event(relation, 'u', before, after);
    return;
  }
  handler.event(relation, 'd', before, null);
  handler.event(relation, 'c', null, after);
  if (after.includes(UNKNOWN)) handler.movedWithout(relation, after);
}

function readDelete(bytes: Buffer, at: number, end: number, handler: PgoutputHandler): void {
  const relation = handler.relationOf(bytes.readUInt32BE(at));
  if (!relation) return;
  const tag = bytes[at + 4];
  if (tag !== 75 && tag !== 79) throw malformed();
  const before = relation.decodeTuple(bytes, at + 5, end, tag === 75, null);
  mustEnd(relation.end, end);
  handler.event(relation, 'd', before, null);
}

function readTruncate(bytes: Buffer, at: number, end: number, handler: PgoutputHandler): void {
  const count = bytes.readUInt32BE(at);
  mustEnd(at + 5 + count * 4, end);
  for (let index = 0; index < count; index++) {
    const relation = handler.relationOf(bytes.readUInt32BE(at + 5 + index * 4));
    if (relation) handler.event(relation, 't', null, null);
  }
}

function readCommit(bytes: Buffer, at: number, end: number): Commit {
  mustEnd(at + 25, end);
  return {
    commitLsn: bytes.readBigUInt64BE(at + 1),
    endLsn: bytes.readBigUInt64BE(at + 9),
    timeMicros: epochMicros(bytes, at + 17),
  };
}

/** `at`: behind the kind of message, and the transaction's id if it has one. */
export function readLogicalMessage(bytes: Buffer, at: number, end: number): LogicalMessage {
  const prefixEnd = stringEnd(bytes, at + 9, end);
  mustEnd(prefixEnd + 4 + bytes.readUInt32BE(prefixEnd), end);
  return {
    isTransactional: bytes[at] === 1,
    lsn: bytes.readBigUInt64BE(at + 1),
    prefix: bytes.toString('utf8', at + 9, prefixEnd - 1),
    content: Buffer.from(bytes.subarray(prefixEnd + 4, end)),
  };
}

function readRelation(bytes: Buffer, start: number, end: number): RelationMessage {
  let at = start + 4;
  const string = () => {
    const from = at;
    at = stringEnd(bytes, at, end);
    return bytes.toString('utf8', from, at - 1);
  };
  // An empty schema is pg_catalog.
  const schemaName = string() || 'pg_catalog';
  const tableName = string();
  const identity = String.fromCharCode(bytes[at++] ?? 0);
  if (!'dnfi'.includes(identity)) throw malformed();
  const count = bytes.readUInt16BE(at);
  at += 2;
  const columns: RelationMessage['columns'] = [];
  for (let index = 0; index < count; index++) {
    const flags = bytes[at++] ?? 0;
    if (flags > 1) throw malformed();
    const name = string();
    columns.push({ name, typeOid: bytes.readUInt32BE(at), typmod: bytes.readInt32BE(at + 4), isKey: flags === 1 });
    at += 8;
  }
  mustEnd(at, end);
  return { oid: bytes.readUInt32BE(start), schemaName, tableName, identity, columns };
}

/** Behind the zero byte of the string at `at`. */
function stringEnd(bytes: Buffer, at: number, end: number): number {
  const zero = bytes.indexOf(0, at);
  if (zero < 0 || zero >= end) throw malformed();
  return zero + 1;
}

function epochMicros(bytes: Buffer, at: number): bigint {
  return bytes.readBigInt64BE(at) + POSTGRES_EPOCH_MICROS;
}

function mustEnd(at: number, end: number): void {
  if (at !== end) throw malformed();
}

/** An old key may be sent without a change; a value outside the key says nothing. */
function isKeyChanged(relation: Relation, before: Row, after: Row): boolean {
  return relation.keyIndexes.some((index) => {
    const old = before[index];
    const now = after[index];
    return old !== UNKNOWN && now !== UNKNOWN && !isSame(old ?? null, now ?? null);
  });
}

function isSame(a: Value, b: Value): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, index) => isSame(value, b[index] ?? null));
  }
  return Object.is(a, b);
}
