import { DailiesError } from '#catalog/error.ts';
import { type Row, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { Op } from '../../event.ts';
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

/** What a reader of the stream is told, in the order of the stream. */
export interface PgoutputHandler {
  /** `commitLsn` is where the commit record begins. */
  begin(commitLsn: bigint, timeMicros: bigint, xid: number): void;
  /** `endLsn` is where the commit record ends. */
  commit(endLsn: bigint): void;
  relation(message: RelationMessage): void;
  /** The shape of a table, or null where its events are not wanted. */
  relationOf(oid: number): Relation | null;
  event(relation: Relation, op: Op, before: Row | null, after: Row | null): void;
  /** The row just given under a new key lacks unchanged TOAST values, which nobody holds under that key. */
  movedWithout(relation: Relation, row: (Value | typeof UNKNOWN)[]): void;
}

/**
 * Reads one message of the logical replication protocol, version 1 (postgresql.org/docs/current/protocol-logicalrep-message-formats.html),
 * from `at` on. Strings end with a zero byte, integers are big-endian:
 *
 *     B  Int64 final LSN · Int64 commit time · Int32 xid
 *     C  Int8 flags · Int64 commit LSN · Int64 end LSN · Int64 commit time
 *     R  Int32 oid · String schema · String table · Int8 identity · Int16 n · n × (Int8 key flag · String name · Int32 type · Int32 typmod)
 *     I  Int32 oid · N TupleData
 *     U  Int32 oid · [K|O TupleData] · N TupleData
 *     D  Int32 oid · K|O TupleData
 *     T  Int32 n · Int8 options · n × Int32 oid
 *     Y type, O origin, M logical message: nothing in them for us
 */
export function readMessage(bytes: Buffer, at: number, handler: PgoutputHandler): void {
  switch (bytes[at]) {
    case 73: // I
      readInsert(bytes, at + 1, handler);
      return;
    case 85: // U
      readUpdate(bytes, at + 1, handler);
      return;
    case 68: // D
      readDelete(bytes, at + 1, handler);
      return;
    case 66: // B
      handler.begin(
        bytes.readBigUInt64BE(at + 1),
        bytes.readBigInt64BE(at + 9) + POSTGRES_EPOCH_MICROS,
        bytes.readUInt32BE(at + 17),
      );
      return;
    case 67: // C
      handler.commit(bytes.readBigUInt64BE(at + 10));
      return;
    case 82: // R
      handler.relation(readRelation(bytes, at + 1));
      return;
    case 84: // T
      readTruncate(bytes, at + 1, handler);
      return;
    case 89: // Y
    case 79: // O
    case 77: // M
      return;
    default:
      throw new DailiesError('source_protocol', 'The server sent a replication message of an unknown kind.', {
        details: { kind: bytes[at] },
      });
  }
}

function readInsert(bytes: Buffer, at: number, handler: PgoutputHandler): void {
  const relation = handler.relationOf(bytes.readUInt32BE(at));
  if (relation) handler.event(relation, 'c', null, relation.decodeTuple(bytes, at + 5, false, null));
}

function readUpdate(bytes: Buffer, at: number, handler: PgoutputHandler): void {
  const relation = handler.relationOf(bytes.readUInt32BE(at));
  if (!relation) return;
  const tag = bytes[at + 4];
  if (tag === 78) {
    handler.event(relation, 'u', null, relation.decodeTuple(bytes, at + 5, false, null));
    return;
  }
  const isKeyOnly = tag === 75;
  const before = relation.decodeTuple(bytes, at + 5, isKeyOnly, null);
  const after = relation.decodeTuple(bytes, relation.end + 1, false, isKeyOnly ? null : before);
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

function readDelete(bytes: Buffer, at: number, handler: PgoutputHandler): void {
  const relation = handler.relationOf(bytes.readUInt32BE(at));
  if (!relation) return;
  handler.event(relation, 'd', relation.decodeTuple(bytes, at + 5, bytes[at + 4] === 75, null), null);
}

function readTruncate(bytes: Buffer, at: number, handler: PgoutputHandler): void {
  const count = bytes.readUInt32BE(at);
  for (let index = 0; index < count; index++) {
    const relation = handler.relationOf(bytes.readUInt32BE(at + 5 + index * 4));
    if (relation) handler.event(relation, 't', null, null);
  }
}

function readRelation(bytes: Buffer, start: number): RelationMessage {
  let at = start + 4;
  const string = () => {
    const end = bytes.indexOf(0, at);
    const text = bytes.toString('utf8', at, end);
    at = end + 1;
    return text;
  };
  const schemaName = string();
  const tableName = string();
  const identity = String.fromCharCode(bytes[at++] ?? 0);
  const count = bytes.readUInt16BE(at);
  at += 2;
  const columns = Array.from({ length: count }, () => {
    const isKey = ((bytes[at++] ?? 0) & 1) === 1;
    const name = string();
    const column = { name, typeOid: bytes.readUInt32BE(at), typmod: bytes.readInt32BE(at + 4), isKey };
    at += 8;
    return column;
  });
  return { oid: bytes.readUInt32BE(start), schemaName, tableName, identity, columns };
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
