import type { ByteReader } from './byte-reader.ts';
import { formatUuid } from './mysql-gtid-set.ts';
import { malformed } from './protocol-error.ts';
import { xidText } from './xid.ts';

/** A transaction's id and what comes with it. */
export interface TransactionHead {
  gtid: string;
  timeMicros: bigint;
  /** MariaDB tells from the start how the transaction ends; MySQL does not: null. */
  mariadb: { isStandalone: boolean; isPrepared: boolean; isCompleted: boolean; isAlterStart: boolean } | null;
  xid: string | null;
}

/**
 * MySQL's GTID (libs/mysql/binlog/event/control_events.h, Gtid_event):
 *
 *     Int8 flags · Byte16 uuid · Int64 number · Int8 2 · Int64 · Int64 · Int56 commit time here, µs · …
 *
 * Bit 55 of the time: the commit time where it was first made follows, Int56.
 */
export function readMysqlGtid(reader: ByteReader, timeSeconds: number): TransactionHead {
  reader.skip(1);
  const uuid = formatUuid(reader.take(16));
  const number = reader.u64();
  let timeMicros = BigInt(timeSeconds) * 1_000_000n;
  if (reader.left >= 24 && reader.u8() === 2) {
    reader.skip(16);
    const here = int56(reader);
    timeMicros = here >> 55n === 1n ? int56(reader) : here;
  }
  return { gtid: `${uuid}:${number}`, timeMicros, mariadb: null, xid: null };
}

function int56(reader: ByteReader): bigint {
  return BigInt(reader.u32()) + (BigInt(reader.u24()) << 32n);
}

/**
 * MySQL 8.3's GTID with a tag, in the serialization format of libs/mysql/serialization/readme.md:
 *
 *     version, 1 · size · last field that must be known · (number of the field · its value) …
 *     0 flags · 1 uuid, 16 numbers · 2 signed number · 3 text tag · 4, 5 signed · 6 commit time here · 7 where first made · …
 *
 * All numbers are of variable length: as many bytes as the first has ones at its low end, plus one.
 */
export function readTaggedGtid(reader: ByteReader): TransactionHead {
  if (varlen(reader) !== 1n) throw malformed('a taggedGtid event is of a newer version');
  varlen(reader);
  if (varlen(reader) > 11n) throw malformed('a taggedGtid event is of a newer version');
  let uuid = '';
  let number = 0n;
  let tag = '';
  let here = 0n;
  let first: bigint | null = null;
  while (reader.left > 0) {
    const field = varlen(reader);
    // Fields in ascending order; what comes after the times is nothing to us.
    if (field > 7n) break;
    if (field === 1n) uuid = formatUuid(Buffer.from(Array.from({ length: 16 }, () => Number(varlen(reader)))));
    else if (field === 2n) number = signedVarlen(reader);
    else if (field === 3n) tag = reader.utf8(Number(varlen(reader)));
    else if (field === 6n) here = varlen(reader);
    else if (field === 7n) first = varlen(reader);
    else varlen(reader);
  }
  if (uuid === '' || number <= 0n) throw malformed('a taggedGtid event has no id');
  const gtid = tag === '' ? `${uuid}:${number}` : `${uuid}:${tag}:${number}`;
  return { gtid, timeMicros: first ?? here, mariadb: null, xid: null };
}

/** `libs/mysql/serialization/variable_length_integers.h`. */
export function varlen(reader: ByteReader): bigint {
  const head = reader.u8();
  let bytes = 0;
  while (bytes < 8 && (head & (1 << bytes)) !== 0) bytes += 1;
  let value = 0n;
  const start = reader.skip(bytes);
  for (let index = bytes - 1; index >= 0; index--) value = (value << 8n) | BigInt(reader.bytes[start + index] ?? 0);
  // The first byte's high end holds the value's low bits; of 8 and 9 bytes it has none.
  return bytes >= 7 ? value : (value << BigInt(7 - bytes)) | BigInt(head >> (bytes + 1));
}

function signedVarlen(reader: ByteReader): bigint {
  const value = varlen(reader);
  return (value & 1n) === 1n ? -(value >> 1n) - 1n : value >> 1n;
}

const standalone = 1;
const groupCommit = 2;
const preparedXa = 64;
const completedXa = 128;
const startAlter = 2;

/**
 * MariaDB's GTID (sql/log_event.h, Gtid_log_event): Int64 number · Int32 domain · Int8 flags · [Int64 group] ·
 * [XA: Int32 format · Int8 · Int8 · id] · [Int8 more flags · …], filled up with zeros to 19 bytes.
 */
export function readMariadbGtid(reader: ByteReader, serverId: number, timeSeconds: number): TransactionHead {
  const number = reader.u64();
  const domain = reader.u32();
  const flags = reader.u8();
  if ((flags & groupCommit) !== 0) reader.skip(8);
  let xid: string | null = null;
  const isPrepared = (flags & preparedXa) !== 0;
  const isCompleted = (flags & completedXa) !== 0;
  if (isPrepared || isCompleted) {
    const format = reader.bytes.readInt32LE(reader.skip(4));
    const [globalLength, branchLength] = [reader.u8(), reader.u8()];
    xid = xidText(format, reader.take(globalLength), reader.take(branchLength));
  }
  const more = reader.left > 0 ? reader.u8() : 0;
  return {
    gtid: `${domain}-${serverId}-${number}`,
    timeMicros: BigInt(timeSeconds) * 1_000_000n,
    mariadb: {
      isStandalone: (flags & standalone) !== 0,
      isPrepared,
      isCompleted,
      isAlterStart: (more & startAlter) !== 0,
    },
    xid,
  };
}
