import { crc32 } from 'node:zlib';
import { DailiesError } from '#catalog/error.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { type Batch, type BatchItem, type ChangeEvent, type Op, type Transaction, tableOf } from '../event.ts';
import { BinaryReader, BinaryWriter } from './binary.ts';

/*
 * A record of the log: one batch. Little-endian; a text is its encoding and length (varint), then its bytes.
 *
 *   magic "DLB"  version u8   headerBytes u32   headerCrc u32   bodyBytes u32   bodyCrc u32
 *   header: flags varint (1 complete, 2 restart)  timeMicros i64  position text  tables varint × text
 *   body:   schemas varint × text (JSON)
 *           transaction lists varint × (varint × (id text, position text, timeMicros i64))
 *           items varint × (kind u8, table varint (index in the header), bytes u32, payload)
 *   changes: schema varint, transactions varint, events varint × (op u8, tx varint, before row, after row; null: flag in op)
 *   snapshot-rows: schema varint, rows varint, Parquet bytes
 *   snapshot-begin, chunked-begin: schema varint, generation varint
 *   snapshot-chunk: generation varint, cursor text, rows f64, estimated rows f64 (NaN: not known)
 *   snapshot-end: generation varint, rows f64
 *   row:     for each field a tagged value (below)
 *
 * The header can be read alone. An item's byte length lets a reader skip items of other tables.
 */
const magic = 0x424c44;
const version = 1;
const prefixBytes = 20;

const ops: readonly Op[] = ['c', 'u', 'd', 'r', 't'];
/** By their number in a record. The begin of a chunked snapshot is a kind of its own. */
const itemKinds = [
  'changes',
  'snapshot-begin',
  'snapshot-end',
  'snapshot-rows',
  'chunked-begin',
  'snapshot-chunk',
] as const;
type ItemKind = (typeof itemKinds)[number];
const hasBefore = 8;
const hasAfter = 16;

const tagNull = 0;
const tagUnknown = 1;
const tagFalse = 2;
const tagTrue = 3;
const tagInt = 4;
const tagDouble = 5;
const tagLong = 6;
const tagBig = 7;
const tagText = 8;
const tagBinary = 9;
const tagList = 10;

export interface BatchHeader {
  position: string;
  timeMicros: bigint;
  isComplete: boolean;
  isRestart: boolean;
  tables: readonly string[];
}

const writer = new BinaryWriter();

/** The batch as bytes; every value comes back from `decodeBatch` exactly as it was. The result is the caller's own. */
export function encodeBatch(batch: Batch, isRestart = false): Buffer {
  const tables = new Index<string>();
  const schemas = new Index<string>();
  const schemaTexts = new Map<Schema, number>();
  const lists = new Index<readonly Transaction[]>();
  const schemaIndex = (schema: Schema) => {
    const known = schemaTexts.get(schema);
    if (known !== undefined) return known;
    const index = schemas.of(JSON.stringify(schema));
    schemaTexts.set(schema, index);
    return index;
  };
  for (const item of batch.items) {
    tables.of(tableOf(item));
    if (item.kind === 'changes') {
      schemaIndex(item.changes.schema);
      lists.of(item.changes.transactions);
    } else if (item.kind === 'snapshot-begin') schemaIndex(item.schema);
    else if (item.kind === 'snapshot-rows') schemaIndex(item.snapshotRows.schema);
  }

  writer.reset();
  writer.skip(prefixBytes);
  writer.varint((batch.isComplete ? 1 : 0) | (isRestart ? 2 : 0));
  writer.int64(batch.timeMicros);
  writer.text(batch.position);
  writer.varint(tables.values.length);
  for (const table of tables.values) writer.text(table);
  const headerEnd = writer.position;

  writer.varint(schemas.values.length);
  for (const text of schemas.values) writer.text(text);
  writer.varint(lists.values.length);
  for (const list of lists.values) writeTransactions(list);
  writer.varint(batch.items.length);
  for (const item of batch.items) writeItem(item, tables, schemaIndex, lists);
  const bodyEnd = writer.position;

  const bytes = writer.take();
  bytes.writeUInt32LE(magic | (version << 24), 0);
  bytes.writeUInt32LE(headerEnd - prefixBytes, 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(prefixBytes, headerEnd)), 8);
  bytes.writeUInt32LE(bodyEnd - headerEnd, 12);
  bytes.writeUInt32LE(crc32(bytes.subarray(headerEnd, bodyEnd)), 16);
  return bytes;
}

function writeTransactions(list: readonly Transaction[]): void {
  writer.varint(list.length);
  for (const transaction of list) {
    writer.text(transaction.id);
    writer.text(transaction.position);
    writer.int64(transaction.timeMicros);
  }
}

function writeItem(
  item: BatchItem,
  tables: Index<string>,
  schemaIndex: (schema: Schema) => number,
  lists: Index<readonly Transaction[]>,
): void {
  writer.byte(itemKinds.indexOf(kindOf(item)));
  writer.varint(tables.of(tableOf(item)));
  const lengthAt = writer.position;
  writer.skip(4);
  switch (item.kind) {
    case 'changes': {
      const { schema, transactions, events } = item.changes;
      writer.varint(schemaIndex(schema));
      writer.varint(lists.of(transactions));
      writer.varint(events.length);
      const width = schema.fields.length;
      for (const event of events) writeEvent(event, width, item.changes.table);
      break;
    }
    case 'snapshot-rows':
      writer.varint(schemaIndex(item.snapshotRows.schema));
      writer.varint(item.snapshotRows.rows);
      writer.bytes(item.snapshotRows.parquet);
      break;
    case 'snapshot-begin':
      writer.varint(schemaIndex(item.schema));
      writer.varint(item.generation);
      break;
    case 'snapshot-chunk':
      writer.varint(item.generation);
      writer.text(item.cursor);
      writer.double(item.rows);
      writer.double(item.estimatedRows ?? Number.NaN);
      break;
    case 'snapshot-end':
      writer.varint(item.generation);
      writer.double(item.rows);
      break;
  }
  writer.uint32At(lengthAt, writer.position - lengthAt - 4);
}

function kindOf(item: BatchItem): ItemKind {
  return item.kind === 'snapshot-begin' && item.isChunked ? 'chunked-begin' : item.kind;
}

function writeEvent(event: ChangeEvent, width: number, table: string): void {
  const { before, after } = event;
  writer.byte(ops.indexOf(event.op) | (before ? hasBefore : 0) | (after ? hasAfter : 0));
  writer.varint(event.tx);
  if (before) writeRow(before, width, table);
  if (after) writeRow(after, width, table);
}

function writeRow(row: Row, width: number, table: string): void {
  if (row.length !== width) {
    throw new DailiesError('internal', `An event of ${table} has ${row.length} values for ${width} fields.`);
  }
  for (let i = 0; i < width; i++) {
    const value = row[i];
    if (value === UNKNOWN) writer.byte(tagUnknown);
    else writeValue(value as Value);
  }
}

function writeValue(value: Value): void {
  switch (typeof value) {
    case 'string':
      writer.byte(tagText);
      writer.text(value);
      return;
    case 'number':
      if ((value | 0) === value && !Object.is(value, -0)) {
        writer.byte(tagInt);
        writer.zigzag(value);
      } else {
        writer.byte(tagDouble);
        writer.double(value);
      }
      return;
    case 'bigint':
      if (BigInt.asIntN(64, value) === value) {
        writer.byte(tagLong);
        writer.int64(value);
      } else {
        writer.byte(tagBig);
        writer.text(value.toString(16));
      }
      return;
    case 'boolean':
      writer.byte(value ? tagTrue : tagFalse);
      return;
    default:
      if (value === null) writer.byte(tagNull);
      else if (value instanceof Uint8Array) {
        writer.byte(tagBinary);
        writer.bytes(value);
      } else if (Array.isArray(value)) {
        writer.byte(tagList);
        writer.varint(value.length);
        for (const element of value) writeValue(element);
      } else throw new DailiesError('internal', `A value of an event is of no known form (${typeof value}).`);
  }
}

/** Throws `log_corrupt` where the bytes are torn or not of this format. */
export function decodeHeader(bytes: Buffer): BatchHeader {
  const { headerEnd } = checkPrefix(bytes);
  const reader = new BinaryReader(bytes, prefixBytes, headerEnd);
  const flags = reader.varint();
  const timeMicros = reader.int64();
  const position = reader.text();
  const tables = Array.from({ length: reader.varint() }, () => reader.text());
  return { position, timeMicros, isComplete: (flags & 1) !== 0, isRestart: (flags & 2) !== 0, tables };
}

/** The batch, or of its items those of the given tables. Throws `log_corrupt` where the bytes are torn or changed. */
export function decodeBatch(bytes: Buffer, only?: ReadonlySet<string>): Batch {
  const header = decodeHeader(bytes);
  const { headerEnd, bodyEnd } = checkPrefix(bytes);
  if (crc32(bytes.subarray(headerEnd, bodyEnd)) !== bytes.readUInt32LE(16)) throw corrupt('its checksum differs');
  const reader = new BinaryReader(bytes, headerEnd, bodyEnd);
  const schemas = Array.from({ length: reader.varint() }, () => schemaOf(reader.text()));
  const lists = Array.from({ length: reader.varint() }, () => readTransactions(reader));
  const items: BatchItem[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const kind = itemKinds[reader.byte()];
    const table = at(header.tables, reader.varint());
    const length = reader.uint32();
    if (only && !only.has(table)) reader.skip(length);
    else items.push(readItem(reader, kind, table, schemas, lists));
  }
  return { items, position: header.position, timeMicros: header.timeMicros, isComplete: header.isComplete };
}

function readItem(
  reader: BinaryReader,
  kind: ItemKind | undefined,
  table: string,
  schemas: Schema[],
  lists: (readonly Transaction[])[],
): BatchItem {
  switch (kind) {
    case 'changes': {
      const schema = at(schemas, reader.varint());
      const transactions = at(lists, reader.varint());
      const width = schema.fields.length;
      const count = reader.varint();
      const events: ChangeEvent[] = [];
      for (let i = 0; i < count; i++) {
        const flags = reader.byte();
        const op = at(ops, flags & 7);
        const tx = reader.varint();
        const before = flags & hasBefore ? readRow(reader, width) : null;
        const after = flags & hasAfter ? readRow(reader, width) : null;
        events.push({ op, before, after, tx });
      }
      return { kind, changes: { table, schema, events, transactions } };
    }
    case 'snapshot-rows': {
      const schema = at(schemas, reader.varint());
      return { kind, snapshotRows: { table, schema, rows: reader.varint(), parquet: reader.bytes() } };
    }
    case 'snapshot-begin':
    case 'chunked-begin': {
      const schema = at(schemas, reader.varint());
      const isChunked = kind === 'chunked-begin';
      return { kind: 'snapshot-begin', table, schema, generation: reader.varint(), isChunked };
    }
    case 'snapshot-chunk': {
      const [generation, cursor, rows, estimated] = [reader.varint(), reader.text(), reader.double(), reader.double()];
      return { kind, table, generation, cursor, rows, estimatedRows: Number.isNaN(estimated) ? null : estimated };
    }
    case 'snapshot-end':
      return { kind, table, generation: reader.varint(), rows: reader.double() };
    default:
      throw corrupt('it holds an item of an unknown kind');
  }
}

function readTransactions(reader: BinaryReader): Transaction[] {
  return Array.from({ length: reader.varint() }, () => {
    const id = reader.text();
    const position = reader.text();
    return { id, position, timeMicros: reader.int64() };
  });
}

function readRow(reader: BinaryReader, width: number): Row {
  const row: (Value | typeof UNKNOWN)[] = [];
  for (let i = 0; i < width; i++) {
    const tag = reader.byte();
    row.push(tag === tagUnknown ? UNKNOWN : readValue(reader, tag));
  }
  return row;
}

function readValue(reader: BinaryReader, tag: number): Value {
  switch (tag) {
    case tagNull:
      return null;
    case tagText:
      return reader.text();
    case tagInt:
      return reader.zigzag();
    case tagLong:
      return reader.int64();
    case tagDouble:
      return reader.double();
    case tagTrue:
      return true;
    case tagFalse:
      return false;
    case tagBig:
      return bigintOfHex(reader.text());
    case tagBinary:
      return reader.bytes();
    case tagList: {
      const values: Value[] = [];
      for (let left = reader.varint(); left > 0; left--) values.push(readValue(reader, reader.byte()));
      return values;
    }
    default:
      throw corrupt('it holds a value of an unknown form');
  }
}

function bigintOfHex(text: string): bigint {
  return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`);
}

function checkPrefix(bytes: Buffer): { headerEnd: number; bodyEnd: number } {
  if (bytes.length < prefixBytes) throw corrupt('it is shorter than its own header');
  const mark = bytes.readUInt32LE(0);
  if ((mark & 0xffffff) !== magic) throw corrupt('it does not begin as a batch');
  if (mark >>> 24 !== version) {
    throw corrupt(`it is of format version ${mark >>> 24}, and this version of Dailies reads ${version}`);
  }
  const headerEnd = prefixBytes + bytes.readUInt32LE(4);
  const bodyEnd = headerEnd + bytes.readUInt32LE(12);
  if (bodyEnd !== bytes.length) throw corrupt('its length differs from what it says');
  if (crc32(bytes.subarray(prefixBytes, headerEnd)) !== bytes.readUInt32LE(8)) throw corrupt('its checksum differs');
  return { headerEnd, bodyEnd };
}

/** Decoded schemas by their text, so that equal shapes of one table are one object over many records. */
const schemaCache = new Map<string, Schema>();

function schemaOf(text: string): Schema {
  const known = schemaCache.get(text);
  if (known) return known;
  if (schemaCache.size >= 4096) schemaCache.clear();
  const schema = JSON.parse(text) as Schema;
  schemaCache.set(text, schema);
  return schema;
}

class Index<T> {
  readonly values: T[] = [];
  readonly #places = new Map<T, number>();

  of(value: T): number {
    const known = this.#places.get(value);
    if (known !== undefined) return known;
    this.#places.set(value, this.values.length);
    this.values.push(value);
    return this.values.length - 1;
  }
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw corrupt('it refers to a part that it does not hold');
  return value;
}

function corrupt(what: string): DailiesError {
  return new DailiesError('log_corrupt', `A record of the log cannot be read: ${what}.`);
}
