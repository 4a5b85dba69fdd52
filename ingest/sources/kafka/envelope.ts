import type { Op } from '../../event.ts';
import { isObject } from '../producer/decode-json.ts';
import { type ConnectStruct, fieldOf } from './connect-type.ts';
import { wholeNumber } from './exact-number.ts';
import type { Message } from './message-decoder.ts';

/** A change of one row, as Debezium tells it; rows are as they came. */
export interface Envelope {
  op: Op;
  before: Readonly<Record<string, unknown>> | null;
  after: Readonly<Record<string, unknown>> | null;
  /** The type of both rows; null where the topic tells no types. */
  rowType: ConnectStruct | null;
  /** `postgresql`, `mysql`, `mariadb` …; empty where nobody told. */
  connector: string;
  /** Name of the topics' prefix. */
  prefix: string;
  /** Where the table is, schema or database; null where nobody told. */
  schema: string | null;
  table: string | null;
  transaction: string | null;
  /** Commit time at the database, microseconds since 1970; null where nobody told. */
  timeMicros: bigint | null;
}

/** What a record is that has a value: a change, one of Debezium's other messages (op m), or no envelope at all. */
export type Opened = { kind: 'change'; envelope: Envelope } | { kind: 'message' } | { kind: 'other'; what: string };

const ops: ReadonlySet<string> = new Set<Op>(['c', 'u', 'd', 'r', 't']);

/** `{before, after, source, op, ts_ms, transaction}` (debezium.io/documentation, Data change events). */
export function openEnvelope({ type, value }: Message): Opened {
  if (!isObject(value) || typeof value.op !== 'string' || !('source' in value))
    return { kind: 'other', what: 'is no change event of Debezium: it has no "op" and "source"' };
  if (value.op === 'm') return { kind: 'message' };
  if (!ops.has(value.op)) return { kind: 'other', what: 'has an "op" that is none of c, u, d, r, t and m' };
  const op = value.op as Op;
  const before = value.before ?? null;
  const after = value.after ?? null;
  if (!isRow(before) || !isRow(after)) return { kind: 'other', what: 'has a "before" or an "after" that is no row' };
  if (op !== 'd' && op !== 't' && after === null)
    return { kind: 'other', what: `has no "after", which op ${op} needs` };
  const source = isObject(value.source) ? value.source : {};
  const transaction = isObject(value.transaction) ? value.transaction.id : null;
  const rowType = type && (fieldOf(type, 'after') ?? fieldOf(type, 'before'));
  return {
    kind: 'change',
    envelope: {
      op,
      before: op === 't' ? null : before,
      after: op === 'd' || op === 't' ? null : after,
      rowType: rowType?.type === 'struct' ? rowType : null,
      connector: textOf(source.connector) ?? '',
      prefix: textOf(source.name) ?? '',
      schema: textOf(source.schema) ?? textOf(source.db),
      table: textOf(source.table),
      transaction: transactionOf(transaction ?? source.gtid ?? source.txId),
      timeMicros: timeOf(source),
    },
  };
}

function isRow(value: unknown): value is Readonly<Record<string, unknown>> | null {
  return value === null || (isObject(value) && !(value instanceof Uint8Array));
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function transactionOf(id: unknown): string | null {
  // Postgres' connector puts each event's own place behind the transaction's number.
  if (typeof id === 'string') return id === '' ? null : id.replace(/^(\d+):\d+$/, '$1');
  return wholeNumber(id)?.toString() ?? null;
}

function timeOf(source: Readonly<Record<string, unknown>>): bigint | null {
  const micros = wholeNumber(source.ts_us);
  if (micros !== null) return micros;
  const ms = wholeNumber(source.ts_ms);
  return ms === null ? null : ms * 1000n;
}
