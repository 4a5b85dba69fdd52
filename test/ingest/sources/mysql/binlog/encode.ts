import { crc32 } from 'node:zlib';

/** Writes what MySQL servers write, by their documentation: none can be run beside the tests. */

export const bytes = {
  u8: (value: number) => Buffer.from([value & 0xff]),
  u16: (value: number) => number(value, 2),
  u24: (value: number) => number(value, 3),
  u32: (value: number) => number(value, 4),
  u48: (value: number) => number(value, 6),
  u64: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigUInt64LE(BigInt.asUintN(64, value));
    return buffer;
  },
  /** Length-encoded. */
  length: (value: number) => {
    if (value < 0xfb) return number(value, 1);
    if (value < 0x10000) return Buffer.concat([Buffer.from([0xfc]), number(value, 2)]);
    return Buffer.concat([Buffer.from([0xfd]), number(value, 3)]);
  },
  /** With its length before it. */
  text: (value: string | Buffer) => {
    const buffer = Buffer.from(value);
    return Buffer.concat([bytes.length(buffer.length), buffer]);
  },
  /** Bits from the lowest of the first byte on. */
  bits: (values: readonly boolean[]) => {
    const buffer = Buffer.alloc((values.length + 7) >> 3);
    for (const [index, value] of values.entries()) {
      if (value) buffer[index >> 3] = (buffer[index >> 3] ?? 0) | (1 << (index & 7));
    }
    return buffer;
  },
  /** libs/mysql/serialization/readme.md, unsigned. */
  varlen: (value: bigint) => {
    const width = value.toString(2).length;
    const count = value === 0n ? 1 : width > 63 ? 9 : 1 + Math.floor((width - 1) / 7);
    if (count === 9) return Buffer.concat([Buffer.from([0xff]), bytes.u64(value)]);
    const whole = (value << BigInt(count)) | ((1n << BigInt(count - 1)) - 1n);
    return bytes.u64(whole).subarray(0, count);
  },
};

function number(value: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  buffer.writeUIntLE(value, 0, length);
  return buffer;
}

export interface EventOptions {
  flags?: number;
  timeSeconds?: number;
  endPosition?: number;
  isChecksummed?: boolean;
}

export function event(type: number, body: Buffer | Buffer[], options: EventOptions = {}): Buffer {
  const { flags = 0, timeSeconds = 1_700_000_000, endPosition = 1_000, isChecksummed = true } = options;
  const whole = Array.isArray(body) ? Buffer.concat(body) : body;
  const length = 19 + whole.length + (isChecksummed ? 4 : 0);
  const head = Buffer.concat([
    bytes.u32(timeSeconds),
    bytes.u8(type),
    bytes.u32(1),
    bytes.u32(length),
    bytes.u32(endPosition),
    bytes.u16(flags),
  ]);
  const plain = Buffer.concat([head, whole]);
  return isChecksummed ? Buffer.concat([plain, bytes.u32(crc32(plain))]) : plain;
}

/** Of MySQL 8.4, with checksums or without; its own is there either way. */
export function formatDescription(isChecksummed = true, flags = 0): Buffer {
  const body = [
    bytes.u16(4),
    Buffer.from('8.4.3'.padEnd(50, '\0')),
    bytes.u32(0),
    bytes.u8(19),
    Buffer.alloc(42, 8),
    bytes.u8(isChecksummed ? 1 : 0),
  ];
  // The checksum is taken as if the log were not in use.
  const settled = event(15, body, { flags: flags & ~1 });
  settled.writeUInt16LE(flags, 17);
  return settled;
}

export const uuid = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const uuidBytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');

export function gtid(
  number: bigint,
  times: { here: bigint; first?: bigint } = { here: 1_700_000_000_123_456n },
): Buffer {
  const time = (value: bigint) => bytes.u64(value).subarray(0, 7);
  return event(33, [
    bytes.u8(0),
    uuidBytes,
    bytes.u64(number),
    bytes.u8(2),
    bytes.u64(0n),
    bytes.u64(1n),
    time(times.first === undefined ? times.here : times.here | (1n << 55n)),
    times.first === undefined ? Buffer.alloc(0) : time(times.first),
    bytes.length(1_000),
    bytes.u32(80_403),
  ]);
}

export function taggedGtid(number: bigint, tag: string, times: { here: bigint; first?: bigint }): Buffer {
  const field = (id: number, ...parts: Buffer[]) => Buffer.concat([bytes.varlen(BigInt(id)), ...parts]);
  const fields = Buffer.concat([
    field(0, bytes.varlen(1n)),
    field(1, ...[...uuidBytes].map((byte) => bytes.varlen(BigInt(byte)))),
    field(2, bytes.varlen(number << 1n)),
    field(3, bytes.varlen(BigInt(tag.length)), Buffer.from(tag)),
    field(4, bytes.varlen(7n << 1n)),
    field(5, bytes.varlen(8n << 1n)),
    field(6, bytes.varlen(times.here)),
    times.first === undefined ? Buffer.alloc(0) : field(7, bytes.varlen(times.first)),
    field(8, bytes.varlen(512n)),
    field(9, bytes.varlen(80_403n)),
  ]);
  return event(42, [bytes.varlen(1n), bytes.varlen(BigInt(fields.length + 3)), bytes.varlen(9n), fields]);
}

export function query(sql: string, database = 'shop', variables: Buffer = Buffer.alloc(0)): Buffer {
  return event(2, [
    bytes.u32(1),
    bytes.u32(0),
    bytes.u8(database.length),
    bytes.u16(0),
    bytes.u16(variables.length),
    variables,
    Buffer.from(`${database}\0`),
    Buffer.from(sql),
  ]);
}

export const xid = () => event(16, bytes.u64(9n));

export interface Column {
  name: string;
  type: number;
  /** What stands beside the type. */
  beside?: Buffer;
  isUnsigned?: boolean;
  collation?: number;
  labels?: string[];
  isHidden?: boolean;
  isNullable?: boolean;
  geometryType?: number;
}

const isNumeric = ({ type }: Column) => [1, 2, 3, 4, 5, 8, 9, 246].includes(type);
const isChoice = ({ type, beside }: Column) => type === 254 && ((beside?.[0] ?? 0) === 247 || beside?.[0] === 248);
const isCharacter = (column: Column) => [15, 252, 253, 254, 242].includes(column.type) && !isChoice(column);

/** With its optional metadata in full; character sets as a default with exceptions, or one by one. */
export function tableMap(
  id: number,
  table: string,
  columns: Column[],
  options: { key?: number[]; prefixes?: number[]; isOneByOne?: boolean; isBare?: boolean } = {},
): Buffer {
  const highFirst = (flags: boolean[]) => {
    const buffer = Buffer.alloc((flags.length + 7) >> 3);
    for (const [index, flag] of flags.entries())
      if (flag) buffer[index >> 3] = (buffer[index >> 3] ?? 0) | (0x80 >> (index & 7));
    return buffer;
  };
  const field = (kind: number, value: Buffer) =>
    value.length === 0 ? [] : [bytes.u8(kind), bytes.length(value.length), value];
  const charsets = (list: Column[], usual: number, exact: number) => {
    const collations = list.map(({ collation = 255 }) => collation);
    if (options.isOneByOne) return field(exact, Buffer.concat(collations.map(bytes.length)));
    const [first = 255] = collations;
    const others = collations.flatMap((collation, place) =>
      collation === first ? [] : [bytes.length(place), bytes.length(collation)],
    );
    return list.length === 0 ? [] : field(usual, Buffer.concat([bytes.length(first), ...others]));
  };
  const labels = (kind: number) =>
    Buffer.concat(
      columns
        .filter((column) => isChoice(column) && column.beside?.[0] === kind)
        .map(({ labels: list = [] }) => Buffer.concat([bytes.length(list.length), ...list.map(bytes.text)])),
    );
  const { key = [], prefixes } = options;
  const optional = options.isBare
    ? []
    : [
        ...field(1, highFirst(columns.filter(isNumeric).map(({ isUnsigned = false }) => isUnsigned))),
        ...charsets(columns.filter(isCharacter), 2, 3),
        ...field(4, Buffer.concat(columns.map(({ name }) => bytes.text(name)))),
        ...field(5, labels(248)),
        ...field(6, labels(247)),
        ...field(
          7,
          Buffer.concat(
            columns.filter(({ type }) => type === 255).map(({ geometryType = 0 }) => bytes.length(geometryType)),
          ),
        ),
        ...(prefixes === undefined
          ? field(8, Buffer.concat(key.map(bytes.length)))
          : field(
              9,
              Buffer.concat(key.flatMap((index, place) => [bytes.length(index), bytes.length(prefixes[place] ?? 0)])),
            )),
        ...charsets(columns.filter(isChoice), 10, 11),
        ...field(12, highFirst(columns.map(({ isHidden = false }) => !isHidden))),
        ...field(13, Buffer.concat(columns.filter(({ type }) => type === 242).map(() => bytes.length(3)))),
      ];
  const besides = Buffer.concat(columns.map(({ beside = Buffer.alloc(0) }) => beside));
  return event(19, [
    bytes.u48(id),
    bytes.u16(1),
    bytes.text('shop'),
    bytes.u8(0),
    bytes.text(table),
    bytes.u8(0),
    bytes.length(columns.length),
    Buffer.from(columns.map(({ type }) => type)),
    bytes.text(besides),
    bytes.bits(columns.map(({ isNullable = true }) => isNullable)),
    ...optional,
  ]);
}

/** One image of a row: null for NULL, undefined for a column that it leaves out, else the value's bytes. */
export type Image = (Buffer | null | undefined)[];

export function image(values: Image): Buffer {
  const present = values.filter((value) => value !== undefined);
  return Buffer.concat([
    bytes.bits(present.map((value) => value === null)),
    ...present.filter((value) => value !== null),
  ]);
}

const presence = (values: Image) => bytes.bits(values.map((value) => value !== undefined));

export function insertRows(id: number, rows: Image[], extra: Buffer = Buffer.alloc(0)): Buffer {
  return rowsEvent(30, id, [
    bytes.u16(2 + extra.length),
    extra,
    bytes.length(rows[0]?.length ?? 0),
    presence(rows[0] ?? []),
    ...rows.map(image),
  ]);
}

export function updateRows(id: number, rows: [before: Image, after: Image][]): Buffer {
  const [before, after] = rows[0] ?? [[], []];
  return rowsEvent(31, id, [
    bytes.u16(2),
    bytes.length(before.length),
    presence(before),
    presence(after),
    ...rows.flatMap(([from, to]) => [image(from), image(to)]),
  ]);
}

export function rowsEvent(type: number, id: number, rest: Buffer[]): Buffer {
  return event(type, [bytes.u48(id), bytes.u16(1), ...rest]);
}
