/**
 * A second, plain reading of the protocol, to hold ours against: no speed, no state but lists; each transaction is decoded when
 * it has committed. Values stay the server's text; `plainValue` reads one.
 */
export interface PlainEvent {
  table: string;
  columns: PlainColumn[];
  op: string;
  before: PlainRow | null;
  after: PlainRow | null;
}

export interface PlainColumn {
  name: string;
  typeOid: number;
  typmod: number;
  isKey: boolean;
}

/** Text, null, or `unknown` for what was not told. */
export type PlainRow = (Buffer | null | 'unknown')[];

interface Table {
  name: string;
  identity: string;
  columns: PlainColumn[];
  arrival: number;
}

class Unreadable extends Error {}

/** Whether all payloads could be read, and whether they end between transactions. */
export function referenceEvents(payloads: readonly Buffer[]): {
  events: PlainEvent[];
  isWhole: boolean;
  isEnded: boolean;
} {
  const reader = new Reference();
  try {
    for (const payload of payloads) reader.read(payload);
    return { events: reader.events, isWhole: true, isEnded: reader.isEnded };
  } catch (error) {
    if (!(error instanceof Unreadable) && !(error instanceof RangeError)) throw error;
    return { events: reader.events, isWhole: false, isEnded: false };
  }
}

class Reference {
  readonly events: PlainEvent[] = [];
  readonly #tables = new Map<number, Table>();
  readonly #streams = new Map<number, { xid: number; bytes: Buffer; arrival: number }[]>();
  #stream: number | null = null;
  #transaction: { begin: Buffer; messages: Buffer[] } | null = null;
  #arrivals = 0;

  get isEnded(): boolean {
    return this.#transaction === null;
  }

  read(payload: Buffer): void {
    if (payload[0] === 107 && payload.length === 18) return;
    must(payload[0] === 119 && payload.length > 25);
    const bytes = payload.subarray(25);
    const kind = String.fromCharCode(bytes[0] ?? 0);
    this.#arrivals += 1;
    if (this.#stream !== null && kind !== 'E') {
      must('IUDTRYMO'.includes(kind) && bytes.length >= 5);
      const xid = kind === 'O' ? this.#stream : bytes.readUInt32BE(1);
      const plain = kind === 'O' ? bytes : Buffer.concat([bytes.subarray(0, 1), bytes.subarray(5)]);
      this.#streams.get(this.#stream)?.push({ xid, bytes: plain, arrival: this.#arrivals });
      return;
    }
    switch (kind) {
      case 'B':
        must(bytes.length === 21 && this.#transaction === null);
        this.#transaction = { begin: bytes, messages: [] };
        return;
      case 'C':
        must(bytes.length === 26 && this.#transaction !== null);
        must(this.#transaction?.begin.subarray(1, 9).equals(bytes.subarray(2, 10)) === true);
        must(this.#transaction?.begin.subarray(9, 17).equals(bytes.subarray(18, 26)) === true);
        this.#transaction = null;
        return;
      case 'S':
        must(bytes.length === 6 && this.#transaction === null && this.#stream === null);
        this.#stream = bytes.readUInt32BE(1);
        must(this.#streams.has(this.#stream) === (bytes[5] !== 1));
        if (bytes[5] === 1) this.#streams.set(this.#stream, []);
        return;
      case 'E':
        must(bytes.length === 1 && this.#stream !== null);
        this.#stream = null;
        return;
      case 'A': {
        must(bytes.length === 9 || bytes.length === 25);
        const [xid, subxid] = [bytes.readUInt32BE(1), bytes.readUInt32BE(5)];
        // A server may tell this, too, of what it has not told.
        const kept = this.#streams.get(xid);
        const first = kept?.findIndex((message) => message.xid === subxid) ?? -1;
        if (xid === subxid) this.#streams.delete(xid);
        else if (first >= 0) kept?.splice(first);
        return;
      }
      case 'c': {
        must(bytes.length === 30 && this.#transaction === null);
        const kept = this.#streams.get(bytes.readUInt32BE(1));
        must(kept !== undefined);
        this.#streams.delete(bytes.readUInt32BE(1));
        const own = new Map<number, Table>();
        for (const message of kept ?? []) this.#change(message.bytes, own, message.arrival);
        for (const [oid, table] of own) {
          if ((this.#tables.get(oid)?.arrival ?? 0) < table.arrival) this.#tables.set(oid, table);
        }
        return;
      }
      default:
        this.#change(bytes, this.#tables, this.#arrivals);
    }
  }

  #change(bytes: Buffer, tables: Map<number, Table>, arrival: number): void {
    const cursor = new Cursor(bytes);
    const kind = String.fromCharCode(cursor.byte());
    if (kind === 'Y' || kind === 'O') {
      cursor.skip(kind === 'Y' ? 4 : 8);
      cursor.string();
      if (kind === 'Y') cursor.string();
      cursor.end();
    } else if (kind === 'M') {
      cursor.skip(9);
      cursor.string();
      cursor.skip(cursor.uint32());
      cursor.end();
    } else if (kind === 'R') {
      this.#describe(cursor, tables, arrival);
    } else if (kind === 'T') {
      const count = cursor.uint32();
      cursor.skip(1);
      const emptied = Array.from({ length: Math.min(count, 1000) }, () => known(tables, cursor.uint32()));
      cursor.end();
      for (const { name, columns } of emptied)
        this.events.push({ table: name, columns, op: 't', before: null, after: null });
    } else {
      must('IUD'.includes(kind));
      this.#row(kind, cursor, known(tables, cursor.uint32()));
    }
  }

  #describe(cursor: Cursor, tables: Map<number, Table>, arrival: number): void {
    const oid = cursor.uint32();
    const schema = cursor.string() || 'pg_catalog';
    const name = `s.${schema}.${cursor.string()}`;
    const identity = String.fromCharCode(cursor.byte());
    must('dnfi'.includes(identity));
    const count = cursor.uint16();
    const columns = Array.from({ length: count }, () => {
      const flags = cursor.byte();
      must(flags <= 1);
      return { isKey: flags === 1, name: cursor.string(), typeOid: cursor.uint32(), typmod: cursor.uint32() | 0 };
    });
    cursor.end();
    if (identity === 'f') for (const [index, column] of columns.entries()) column.isKey = index === 0;
    tables.set(oid, { name, identity, columns, arrival });
  }

  #row(kind: string, cursor: Cursor, { name: table, columns }: Table): void {
    const tag = String.fromCharCode(cursor.byte());
    if (kind === 'I' || (kind === 'U' && tag === 'N')) {
      must(tag === 'N');
      const after = cursor.tuple(columns, false, null);
      cursor.end();
      this.events.push({ table, columns, op: kind === 'I' ? 'c' : 'u', before: null, after });
      return;
    }
    must(tag === 'K' || tag === 'O');
    const before = cursor.tuple(columns, tag === 'K', null);
    if (kind === 'D') {
      cursor.end();
      this.events.push({ table, columns, op: 'd', before, after: null });
      return;
    }
    must(cursor.byte() === 78);
    const after = cursor.tuple(columns, false, tag === 'K' ? null : before);
    cursor.end();
    for (const [index, { isKey }] of columns.entries()) {
      if (isKey && after[index] === 'unknown') after[index] = before[index] ?? null;
    }
    const isMoved = columns.some(({ isKey }, index) => isKey && isOther(before[index], after[index], columns[index]));
    if (!isMoved) this.events.push({ table, columns, op: 'u', before, after });
    else {
      this.events.push({ table, columns, op: 'd', before, after: null });
      this.events.push({ table, columns, op: 'c', before: null, after });
    }
  }
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    this.#at += 1;
    return this.#bytes.readUInt8(this.#at - 1);
  }

  uint16(): number {
    this.#at += 2;
    return this.#bytes.readUInt16BE(this.#at - 2);
  }

  uint32(): number {
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }

  skip(bytes: number): void {
    this.#at += bytes;
    must(this.#at <= this.#bytes.length);
  }

  string(): string {
    const zero = this.#bytes.indexOf(0, this.#at);
    must(zero >= 0);
    const text = this.#bytes.toString('utf8', this.#at, zero);
    this.#at = zero + 1;
    return text;
  }

  end(): void {
    must(this.#at === this.#bytes.length);
  }

  tuple(columns: PlainColumn[], keyOnly: boolean, old: PlainRow | null): PlainRow {
    must(this.uint16() === columns.length);
    return columns.map(({ isKey }, index) => {
      const tag = String.fromCharCode(this.byte());
      if (tag === 'n') return keyOnly && !isKey ? 'unknown' : null;
      if (tag === 'u') return old === null ? 'unknown' : (old[index] ?? null);
      must(tag === 't');
      const length = this.uint32();
      this.skip(length);
      return this.#bytes.subarray(this.#at - length, this.#at);
    });
  }
}

function known(tables: Map<number, Table>, oid: number): Table {
  const table = tables.get(oid);
  if (table === undefined) throw new Unreadable('a change of a table that was not described');
  return table;
}

function must(isTrue: boolean): void {
  if (!isTrue) throw new Unreadable('not of the protocol');
}

function isOther(
  a: PlainRow[number] | undefined,
  b: PlainRow[number] | undefined,
  column: PlainColumn | undefined,
): boolean {
  if (a === 'unknown' || b === 'unknown' || column === undefined) return false;
  return JSON.stringify(plain(column, a ?? null)) !== JSON.stringify(plain(column, b ?? null));
}

function plain(column: PlainColumn, text: Buffer | null): unknown {
  const value = text === null ? null : plainValue(column, text);
  return typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : value;
}

/** The event's value of a text; undefined where there is none, and only the text itself could be carried. */
export function plainValue({ typeOid, typmod }: PlainColumn, bytes: Buffer): unknown {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const match = (pattern: RegExp) => (pattern.test(text) ? text : undefined);
  switch (typeOid) {
    case 16:
      return text === 't' ? true : text === 'f' ? false : undefined;
    case 17:
      return match(/^\\x([0-9a-f]{2})*$/) && new Uint8Array(Buffer.from(text.slice(2), 'hex'));
    case 20:
    case 26:
    case 28:
      return match(/^-?\d+$/) && BigInt(text);
    case 21:
    case 23:
      return match(/^-?\d+$/) && Number(text);
    case 700:
    case 701: {
      // Of what no server writes, our reader takes what is a number in JavaScript, too.
      const value = text === 'NaN' || (/[\dy]$/.test(text) && !Number.isNaN(Number(text))) ? Number(text) : undefined;
      return typeOid === 700 && value !== undefined ? Math.fround(value) : value;
    }
    case 1700: {
      const decimals = decimalsOf(typmod);
      if (decimals === null) return text;
      return match(new RegExp(`^-?\\d+${decimals > 0 ? `\\.\\d{${decimals}}` : ''}$`)) && BigInt(text.replace('.', ''));
    }
    case 1184: {
      const parts = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{0,6}))?\+00$/.exec(text);
      if (parts === null) return undefined;
      const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1, 7).map(Number);
      const date = new Date(0);
      date.setUTCFullYear(year, month - 1, day);
      date.setUTCHours(hour, minute, second);
      return BigInt(date.getTime()) * 1000n + BigInt((parts[7] ?? '').padEnd(6, '0'));
    }
    case 1007:
      return (
        match(/^\{((-?\d+|NULL)(,(-?\d+|NULL))*)?\}$/) &&
        JSON.parse(
          text
            .replace('{', '[')
            .replace('}', ']')
            .replaceAll('NULL', 'null')
            .replace(/([[,]-?)0+(?=\d)/g, '$1'),
        )
      );
    default:
      return text;
  }
}

/** Of a numeric; null where its typmod names none, or more digits than the 38 of a decimal: then it is text. */
function decimalsOf(typmod: number): number | null {
  if (typmod < 4) return null;
  const precision = (typmod - 4) >>> 16;
  const low = (typmod - 4) % 2048;
  const scale = low < 1024 ? low : low - 2048;
  return (scale < 0 ? precision - scale : Math.max(precision, scale)) > 38 ? null : Math.max(scale, 0);
}
