import type { ByteReader } from './byte-reader.ts';
import type { GtidSet } from './gtid.ts';
import { malformed } from './protocol-error.ts';

/** First and last number, both within. */
type Interval = [first: bigint, last: bigint];

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const tagPattern = /^[a-z_][a-z0-9_]{0,31}$/;
const intervalPattern = /^(\d{1,19})(?:-(\d{1,19}))?$/;

/**
 * A MySQL GTID set (dev.mysql.com/doc/refman/8.4, GTID Sets):
 *
 *     set   uuid:part[:part…][,uuid:…]      part   interval | tag      interval   n | n-m
 *
 * The intervals after a tag are of that tag (8.3 on), those before any of none. Kept sorted and merged.
 */
export class MysqlGtidSet implements GtidSet {
  /** `uuid`, or `uuid:tag`, to its intervals. */
  readonly #sources = new Map<string, Interval[]>();
  #text: string | null = '';

  static parse(text: string): MysqlGtidSet {
    const set = new MysqlGtidSet();
    for (const part of text.replaceAll(/\s/g, '').toLowerCase().split(',')) if (part !== '') set.#parseSource(part);
    return set;
  }

  #parseSource(text: string): void {
    const [uuid = '', ...parts] = text.split(':');
    if (!uuidPattern.test(uuid) || parts.length === 0) throw malformed('a GTID set is not uuid:numbers', { set: text });
    let source = uuid;
    for (const part of parts) {
      const match = intervalPattern.exec(part);
      if (match !== null) {
        const first = BigInt(match[1] ?? '');
        const last = match[2] === undefined ? first : BigInt(match[2]);
        // An empty interval is allowed and means nothing.
        if (first > 0n && first <= last) this.addInterval(source, first, last);
      } else if (tagPattern.test(part)) source = `${uuid}:${part}`;
      else throw malformed('a GTID set is not uuid:numbers', { set: text });
    }
  }

  add(gtid: string): void {
    const { source, number } = parseGtid(gtid);
    this.addInterval(source, number, number);
  }

  addInterval(source: string, first: bigint, last: bigint): void {
    this.#text = null;
    const intervals = this.#sources.get(source);
    if (intervals === undefined) {
      this.#sources.set(source, [[first, last]]);
      return;
    }
    const end = intervals.at(-1);
    // As histories grow.
    if (end !== undefined && first === end[1] + 1n) {
      end[1] = last;
      return;
    }
    let from = 0;
    while (from < intervals.length && (intervals[from]?.[1] ?? 0n) + 1n < first) from += 1;
    let to = from;
    const merged: Interval = [first, last];
    for (; to < intervals.length; to++) {
      const [nextFirst, nextLast] = intervals[to] ?? merged;
      if (nextFirst > merged[1] + 1n) break;
      if (nextFirst < merged[0]) merged[0] = nextFirst;
      if (nextLast > merged[1]) merged[1] = nextLast;
    }
    intervals.splice(from, to - from, merged);
  }

  has(gtid: string): boolean {
    const { source, number } = parseGtid(gtid);
    return (this.#sources.get(source) ?? []).some(([first, last]) => first <= number && number <= last);
  }

  contains(other: GtidSet): boolean {
    return mysql(other).countBeyond(this) === 0n;
  }

  equals(other: GtidSet): boolean {
    return this.toString() === mysql(other).toString();
  }

  union(other: GtidSet): GtidSet {
    const set = new MysqlGtidSet();
    for (const from of [this, mysql(other)]) {
      for (const [source, intervals] of from.#sources) {
        for (const [first, last] of intervals) set.addInterval(source, first, last);
      }
    }
    return set;
  }

  countBeyond(other: GtidSet): bigint {
    const theirs = mysql(other).#sources;
    let count = 0n;
    for (const [source, intervals] of this.#sources) {
      const covered = theirs.get(source) ?? [];
      for (const [first, last] of intervals) {
        count += last - first + 1n;
        for (const [otherFirst, otherLast] of covered) {
          const from = first > otherFirst ? first : otherFirst;
          const to = last < otherLast ? last : otherLast;
          if (from <= to) count -= to - from + 1n;
        }
      }
    }
    return count;
  }

  toString(): string {
    if (this.#text !== null) return this.#text;
    let text = '';
    let lastUuid = '';
    for (const [source, intervals] of this.#sorted()) {
      const uuid = source.slice(0, 36);
      const tag = source.slice(36);
      if (uuid !== lastUuid) text += `${text === '' ? '' : ','}${uuid}`;
      text += tag;
      for (const [first, last] of intervals) text += first === last ? `:${first}` : `:${first}-${last}`;
      lastUuid = uuid;
    }
    this.#text = text;
    return text;
  }

  /**
   * As COM_BINLOG_DUMP_GTID wants it and PREVIOUS_GTIDS holds it (sql/rpl_gtid_set.cc, Gtid_set::encode), little-endian:
   *
   *     Int64 header · n × (Byte16 uuid · [Byte1 2 × length of tag · tag] · Int64 count · count × (Int64 first · Int64 last + 1))
   *
   * The header is n, or n × 2^8 + 2^56 + 1 where a tag is in the set; only then entries have tags.
   */
  encode(): Buffer {
    const sources = this.#sorted();
    const isTagged = sources.some(([source]) => source.length > 36);
    const count = BigInt(sources.length);
    const parts = [int64(isTagged ? (1n << 56n) | (count << 8n) | 1n : count)];
    for (const [source, intervals] of sources) {
      parts.push(Buffer.from(source.slice(0, 36).replaceAll('-', ''), 'hex'));
      const tag = Buffer.from(source.slice(37), 'latin1');
      if (isTagged) parts.push(Buffer.from([tag.length << 1]), tag);
      parts.push(int64(BigInt(intervals.length)));
      for (const [first, last] of intervals) parts.push(int64(first), int64(last + 1n));
    }
    return Buffer.concat(parts);
  }

  static decode(reader: ByteReader): MysqlGtidSet {
    const set = new MysqlGtidSet();
    const header = reader.u64();
    const format = header >> 56n;
    if (format > 1n) throw malformed('a GTID set is in a form of a newer server');
    const count = format === 1n ? (header >> 8n) & 0xffffffffffffn : header;
    for (let index = 0n; index < count; index++) {
      const uuid = formatUuid(reader.take(16));
      const tag = format === 1n ? reader.utf8(reader.u8() >> 1) : '';
      const intervals = reader.u64();
      for (let at = 0n; at < intervals; at++) {
        const first = reader.u64();
        set.addInterval(tag === '' ? uuid : `${uuid}:${tag}`, first, reader.u64() - 1n);
      }
    }
    return set;
  }

  #sorted(): [string, Interval[]][] {
    return [...this.#sources].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** 16 bytes as `3e11fa47-71ca-11e1-9e33-c80aa9429562`. */
export function formatUuid(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function mysql(set: GtidSet): MysqlGtidSet {
  if (set instanceof MysqlGtidSet) return set;
  throw malformed("a MariaDB server's GTID set was compared with a MySQL server's");
}

function parseGtid(text: string): { source: string; number: bigint } {
  const colon = text.lastIndexOf(':');
  const source = text.slice(0, colon).toLowerCase();
  const number = text.slice(colon + 1);
  const [uuid = '', tag] = [source.slice(0, 36), source.length > 36 ? source.slice(37) : undefined];
  const isSource = uuidPattern.test(uuid) && (tag === undefined || (source[36] === ':' && tagPattern.test(tag)));
  if (colon < 0 || !isSource || !/^\d{1,19}$/.test(number) || number === '0') {
    throw malformed('a GTID is not uuid:number', { gtid: text });
  }
  return { source, number: BigInt(number) };
}
