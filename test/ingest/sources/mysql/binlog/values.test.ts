import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BinlogColumnType, BinlogValue } from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { decoderOf } from '#ingest/sources/mysql/binlog/charsets.ts';
import { decimalText } from '#ingest/sources/mysql/binlog/decimal.ts';
import { doubleText } from '#ingest/sources/mysql/binlog/double-text.ts';
import { inet4Text, inet6Text, uuidText } from '#ingest/sources/mysql/binlog/mariadb-types.ts';
import { Random } from '#test/engines/matrix/random.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { mariadbVersions, startMariadb, type TestMariadb, type TestMariadbDatabase } from '#test/fixtures/mariadb.ts';
import { describeServers, startServer } from '#test/fixtures/mysql-server.ts';
import { endOf, readAll, rowsOf } from './reader.ts';

const pad = (value: number | bigint, length: number) => String(value).padStart(length, '0');

/** A value as the server's SELECT prints it, bytes in hex. */
function printed(value: BinlogValue, type: BinlogColumnType): string | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  switch (type.kind) {
    case 'decimal':
      return decimalText(BigInt(value), type.scale);
    case 'year':
      return pad(Number(value), 4);
    case 'date':
      return typeof value === 'string' ? value : new Date(Number(value) * 86_400_000).toISOString().slice(0, 10);
    case 'datetime':
    case 'timestamp': {
      if (typeof value === 'string') return value;
      const micros = BigInt(value);
      const seconds = micros >= 0n ? micros / 1_000_000n : -((-micros + 999_999n) / 1_000_000n);
      const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19).replace('T', ' ');
      return text + fraction(micros - seconds * 1_000_000n, type.scale);
    }
    case 'time': {
      const micros = BigInt(value);
      const size = micros < 0n ? -micros : micros;
      const seconds = size / 1_000_000n;
      const text = `${pad(seconds / 3600n, 2)}:${pad((seconds / 60n) % 60n, 2)}:${pad(seconds % 60n, 2)}`;
      return (micros < 0n ? '-' : '') + text + fraction(size % 1_000_000n, type.scale);
    }
    case 'double':
      return doubleText(Number(value));
    case 'enum':
      return Number(value) === 0 ? '' : (type.labels[Number(value) - 1] ?? 'none');
    case 'set':
      return type.labels.filter((_, index) => (BigInt(value) >> BigInt(index)) & 1n).join(',');
    default:
      return String(value);
  }
}

function fraction(micros: bigint, scale: number): string {
  return scale === 0 ? '' : `.${pad(micros, 6).slice(0, scale)}`;
}

const times = [
  "'-838:59:59.999999'",
  "'838:59:59'",
  "'00:00:00'",
  "'-00:00:00.000001'",
  "'-00:00:00.5'",
  "'-01:00:00'",
  "'-00:01:00.25'",
  "'23:59:59.999999'",
  "'-10:11:12.131415'",
];
const moments = [
  "'0000-00-00 00:00:00'",
  "'1000-01-01 00:00:00'",
  "'9999-12-31 23:59:59.999999'",
  "'2024-02-29 12:34:56.789012'",
  "'2024-00-15 01:02:03.5'",
  "'2024-12-00 01:02:03'",
  "'2023-02-31 23:59:59.000001'",
  "'0000-01-01 00:00:00'",
  "'0001-01-01 00:00:00'",
  "'1969-12-31 23:59:59.999999'",
  "'1970-01-01 00:00:00'",
  "'0000-00-00 12:00:00'",
];

/** Types with the SQL of values that are hard for them; NULL comes besides. */
const cases: [type: string, values: string[]][] = [
  ['tinyint', ['-128', '127', '0', '-1']],
  ['tinyint unsigned', ['255', '0', '128']],
  ['smallint', ['-32768', '32767', '-1']],
  ['smallint unsigned zerofill', ['65535', '32768', '7']],
  ['mediumint', ['-8388608', '8388607', '-1']],
  ['mediumint unsigned', ['16777215', '8388608']],
  ['int', ['-2147483648', '2147483647', '-1']],
  ['int unsigned', ['4294967295', '2147483648']],
  ['bigint', ['-9223372036854775808', '9223372036854775807', '-1', '9007199254740993']],
  ['bigint unsigned', ['18446744073709551615', '9223372036854775808']],
  [
    'double',
    [
      '1.7976931348623157e308',
      '-1.7976931348623157e308',
      '2.2250738585072014e-308',
      '5e-324',
      '0',
      '3.14',
      '-0.1',
      '4315274687164399.5',
      '-1234567890123456.8',
      '43152746871643996e1',
      '4315274687164396',
      '1e15',
      '1e16',
      '123456789012345678',
      '1e-5',
      '1e-14',
      '1e-15',
      '1e-16',
      '1.5e-15',
      '0.000123',
      '9007199254740993',
      '123456.789',
    ],
  ],
  ['bit(1)', ["b'1'", "b'0'"]],
  ['bit(17)', ["b'11111111111111111'", "b'1'", "b'10000000000000000'"]],
  ['bit(64)', ['18446744073709551615', '1', '9223372036854775808']],
  ['year', ['1901', '2155', '0', '2024']],
  [
    'date',
    [
      "'0000-00-00'",
      "'1000-01-01'",
      "'9999-12-31'",
      "'2024-02-29'",
      "'2023-00-05'",
      "'2023-05-00'",
      "'2023-02-30'",
      "'0000-02-29'",
      "'1970-01-01'",
      "'1969-12-31'",
      "'0001-01-01'",
      "'1900-03-01'",
    ],
  ],
  ...[0, 1, 2, 3, 4, 5, 6].map((scale): [string, string[]] => [`time(${scale})`, times]),
  ...[0, 1, 2, 3, 4, 5, 6].map((scale): [string, string[]] => [`datetime(${scale})`, moments]),
  ...[0, 1, 3, 4, 6].map((scale): [string, string[]] => [
    `timestamp(${scale})`,
    ["'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'", "'2024-02-29 12:34:56.789012'"],
  ]),
  ["enum('a','b,c','d''e','','\u00e9\u20ac')", ["'a'", "'b,c'", "'d''e'", "''", "'\u00e9\u20ac'", "'none'", '0']],
  ["set('a','b c','d''e','\u00fc')", ["'a'", "'a,\u00fc'", "''", '15', "'none'"]],
  [
    `set(${Array.from({ length: 64 }, (_, index) => `'m${index}'`).join(',')})`,
    ['18446744073709551615', '9223372036854775808', '1', '4294967296'],
  ],
  [`enum(${Array.from({ length: 300 }, (_, index) => `'m${index}'`).join(',')})`, ['300', '1', '256', '255']],
  ['char(5)', ["'ab'", "''", "'  x  '", "'\u{1f600}\u00e9'"]],
  ['char(255)', ["REPEAT('\u{1f600}', 255)", "'x'"]],
  ['varchar(63)', ["REPEAT('x', 63)", "''", "' y '", "'\u{1f600}'"]],
  ['varchar(64)', ["REPEAT('\u{1f600}', 64)", "'x'"]],
  ['varchar(1000)', ["REPEAT('\u00e9', 1000)", "''"]],
  ['tinytext', ["REPEAT('x', 255)", "''"]],
  ['text', ["REPEAT('\u20ac', 20000)", "'a\\0b'"]],
  ['mediumtext', ["REPEAT('x', 70000)"]],
  ['longtext', ["REPEAT('\u00e9x', 70000)"]],
  ['json', ['\'{"a": [1, 2.50, null]}\'', "'1e400'"]],
  ['varchar(50) CHARACTER SET latin1', ["'\u00e9\u20ac'", "''"]],
  ['varchar(50) CHARACTER SET ucs2', ["'\u00e9\u20ac'", "''"]],
  ['char(50) CHARACTER SET utf16', ["'\u{1f600}\u20ac'", "''"]],
  ['varchar(50) CHARACTER SET utf16le', ["'\u{1f600}\u20ac'"]],
  ['char(50) CHARACTER SET utf32', ["'\u{1f600}\u20ac x'"]],
  ['text CHARACTER SET koi8r', ["'\u043f\u0440\u0438\u0432\u0435\u0442'"]],
  ['text CHARACTER SET sjis', ["'\u65e5\u672c\u8a9e\uff76\u301c'"]],
  ['text CHARACTER SET gbk', ["'\u4e2d\u6587\u20ac'"]],
  ["enum('\u00e9','z') CHARACTER SET latin1", ["'\u00e9'", "'z'"]],
  ['varchar(300) COMPRESSED', ["REPEAT('x', 300)", "'x'", "''", "REPEAT('\u00e9', 200)"]],
  ['text COMPRESSED', ["REPEAT('hello ', 3000)", "'x'", "''"]],
  ['binary(6)', ["x'010200000000'", "x'000000000000'", "x'ffffffffffff'", "x'01'"]],
  ['binary(255)', ["x'01'"]],
  ['varbinary(300)', ["x'00ff00'", "''", "REPEAT(x'ff', 300)"]],
  ['tinyblob', ["x'ff'", "REPEAT(x'00', 255)"]],
  ['longblob', ["REPEAT(x'ab', 100000)", "''"]],
  ['blob COMPRESSED', ["REPEAT(x'ab', 50000)", "x'00'"]],
  ['geometry', ['POINT(1, -2.5)', "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326)"]],
  ['point', ['POINT(0, 0)']],
];

describeWith('mariadb', 'values in the log are those that SELECT prints', () => {
  describe.each(mariadbVersions)('MariaDB %s', (version) => {
    let server: TestMariadb;
    let database: TestMariadbDatabase;

    beforeAll(async () => {
      server = await startMariadb(version);
      database = await server.createDatabase();
      await database.query("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'");
    });

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    /** Makes the table, and gives each row of the log beside what SELECT says. */
    async function compare(
      columns: [type: string, values: string[]][],
    ): Promise<{ log: (string | null)[][]; select: (string | null)[][] }> {
      const from = await endOf(server);
      await database.query('DROP TABLE IF EXISTS v');
      await database.query(
        `CREATE TABLE v (id int PRIMARY KEY, ${columns.map(([type], index) => `c${index} ${/^timestamp/.test(type) ? `${type} NULL` : type}`).join(', ')})`,
      );
      const count = Math.max(...columns.map(([, values]) => values.length)) + 1;
      for (let row = 0; row < count; row++) {
        const values = columns.map(([, list], index) =>
          row === 0 ? 'NULL' : (list[(row + index) % list.length] ?? 'NULL'),
        );
        await database.query(`INSERT IGNORE INTO v VALUES (${row}, ${values.join(', ')})`);
      }
      const rows = rowsOf(await readAll(server, { from }), 'v');
      const types = rows[0]?.table.columns.map((column) => column.type) ?? [];
      const log = rows.flatMap((event) =>
        event.rows.map(({ after }) =>
          (after ?? [])
            .slice(1)
            .map((value, index) => printed(value as BinlogValue, types[index + 1] ?? { kind: 'json' })),
        ),
      );
      const expressions = columns.map(([type], index) => {
        if (/^(bit|smallint unsigned zerofill)/.test(type)) return `CAST(c${index} + 0 AS CHAR)`;
        if (/binary|blob|geometry|point/.test(type)) return `LOWER(HEX(c${index}))`;
        return `CONVERT(CAST(c${index} AS CHAR) USING utf8mb4)`;
      });
      const selected = await database.query(
        `SELECT ${expressions.map((sql, index) => `${sql} AS c${index}`).join(', ')} FROM v ORDER BY id`,
      );
      return {
        log,
        select: selected.map((row) => columns.map((_, index) => (row[`c${index}`] ?? null) as string | null)),
      };
    }

    it.each(cases)('%s', async (type, values) => {
      const { log, select } = await compare([[type, values]]);
      expect(log.length).toBe(values.length + 1);
      expect(log).toEqual(select);
    });

    it('all of them beside each other, and floats to the bit', async () => {
      const { log, select } = await compare(
        cases.filter(([type]) => !/long|medium|text|blob|char\(255|300/.test(type)),
      );
      expect(log).toEqual(select);

      const from = await endOf(server);
      await database.query('CREATE TABLE f (f float, d double)');
      const floats = [3.14, -0.1, 3.4028234663852886e38, 1e-45, 16777217, 0];
      for (const value of floats) await database.query(`INSERT INTO f VALUES (${value}, ${value})`);
      const rows = rowsOf(await readAll(server, { from }), 'f').flatMap((event) => event.rows);
      expect(rows.map(({ after }) => after)).toEqual(floats.map((value) => [Math.fround(value), value]));
    });

    it('decimals of every size, to the digit', async () => {
      const seed = Number(process.env.BINLOG_SEED ?? Date.now() % 1_000_000);
      console.log(`BINLOG_SEED=${seed}`);
      const random = new Random(seed);
      const digit = () => String(random.below(10));
      const columns: [string, string[]][] = [];
      for (let precision = 1; precision <= 65; precision++) {
        for (const scale of new Set([0, 1, precision >> 1, precision - 1, precision, (precision * 7) % 39])) {
          if (scale < 0 || scale > precision || scale > 38) continue;
          const number = (make: () => string) => {
            const text = Array.from({ length: precision }, make).join('');
            return `${text.slice(0, precision - scale) || '0'}.${text.slice(precision - scale) || '0'}`;
          };
          const values = [
            number(() => '9'),
            `-${number(() => '9')}`,
            number(digit),
            `-${number(digit)}`,
            '0',
            `-0.${'0'.repeat(Math.max(0, scale - 1))}1`,
          ];
          columns.push([`decimal(${precision},${scale})`, values]);
        }
      }
      for (let start = 0; start < columns.length; start += 60) {
        const { log, select } = await compare(columns.slice(start, start + 60));
        expect(log).toEqual(select);
      }
    });

    it('UUID and INET columns, by their bytes', async () => {
      const from = await endOf(server);
      const hasInet4 = version !== '10.11';
      await database.query(`CREATE TABLE net (u uuid, i inet6${hasInet4 ? ', j inet4' : ''})`);
      const uuids = [
        '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
        '550e8400-e29b-41d4-a716-446655440000',
        '017f22e2-79b0-7cc3-98c4-dc0c0c07398f',
        '320c3d4d-cc00-875b-8ec9-32d5f6918100',
        '00000000-0000-0000-0000-000000000000',
        'ffffffff-ffff-ffff-ffff-ffffffffffff',
        '12345678-1234-1678-0abc-123456789abc',
      ];
      const addresses = [
        '::',
        '::1',
        '1::',
        '::ffff:1.2.3.4',
        '::1.2.3.4',
        '2001:db8:0:0:1:0:0:1',
        'fe80::1:0:0:0',
        '1:2:3:4:5:6:7:8',
        '0:1:0:1:0:1:0:1',
        '::ffff:0:1.2.3.4',
        '0:0:0:0:0:1::',
        '::12',
        'ff::',
        '1:2:3:0:5:6:7:8',
        '::ffff',
      ];
      for (const [index, address] of addresses.entries()) {
        const inet4 = hasInet4 ? `, '${index}.0.255.${index === 3 ? 0 : index}'` : '';
        await database.query(`INSERT INTO net VALUES ('${uuids[index % uuids.length]}', '${address}'${inet4})`);
      }
      const rows = rowsOf(await readAll(server, { from }), 'net').flatMap((event) =>
        event.rows.map(({ after }) => after ?? []),
      );
      const bytes = (value: unknown) => (value instanceof Uint8Array ? value : new Uint8Array());
      const selected = await database.query(
        `SELECT CAST(u AS CHAR) u, CAST(i AS CHAR) i${hasInet4 ? ', CAST(j AS CHAR) j' : ''} FROM net`,
      );
      expect(rows.map(([u]) => uuidText(bytes(u)))).toEqual(selected.map(({ u }) => u));
      expect(rows.map(([, i]) => inet6Text(bytes(i)))).toEqual(selected.map(({ i }) => i));
      if (hasInet4) expect(rows.map(([, , j]) => inet4Text(bytes(j)))).toEqual(selected.map(({ j }) => j));
    });
  });
});

describeServers('charsets', ['MariaDB 11.4', 'MySQL 9'], (name) => {
  it('each gives each of its characters as the server does, and takes no bytes for text that the server does not', async () => {
    await using server = await startServer(name);
    await using database = await server.createDatabase();
    const charsets = await database.query(
      'SELECT CHARACTER_SET_NAME AS name, MAXLEN AS length FROM information_schema.CHARACTER_SETS',
    );
    await database.query('CREATE TABLE codes (k int PRIMARY KEY, b varbinary(4))');
    const decoded: string[] = [];
    const codes = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]));
    for (let high = 128; high < 256; high++) for (let low = 0; low < 256; low++) codes.push(Buffer.from([high, low]));
    for (let high = 0xa1; high < 255; high++)
      for (let low = 0xa1; low < 255; low++) codes.push(Buffer.from([0x8f, high, low]));
    const chunks = Array.from({ length: Math.ceil(codes.length / 8_192) }, (_, index) =>
      codes.slice(index * 8_192, (index + 1) * 8_192),
    );
    for (const [index, chunk] of chunks.entries()) {
      await database.query(
        `INSERT INTO codes VALUES ${chunk.map((code, at) => `(${index * 8_192 + at}, x'${code.toString('hex')}')`).join(',')}`,
      );
    }
    for (const { name, length } of charsets) {
      const charset = String(name);
      const decode = decoderOf(charset);
      if (/^(utf|ucs|binary)/.test(charset)) continue;
      if (decode === null) throw new Error(`${charset} is not decoded.`);
      decoded.push(charset);
      // Of gb18030 those of four bytes are looked at below.
      const longest = charset === 'gb18030' ? 2 : Number(length);
      const rows = await database.query(
        `SELECT HEX(b) AS code, HEX(CONVERT(CONVERT(b USING ${charset}) USING utf8mb4)) AS text, HEX(CONVERT(b USING ${charset})) AS again FROM codes WHERE LENGTH(b) <= ${longest} ORDER BY k`,
      );
      for (const { code, text, again } of rows) {
        const bytes = Buffer.from(String(code), 'hex');
        const server = Buffer.from(String(text ?? ''), 'hex').toString();
        // Where the server takes bytes for none of its characters, it says a question mark, or nothing.
        const isText = code === again && server !== '' && (!server.includes('?') || bytes.includes(0x3f));
        const ours = decode(bytes, 0, bytes.length);
        // For codes that Big5 has and Unicode had not, the server itself prints U+FFFD.
        if (isText && (charset === 'big5' || !server.includes('\ufffd')))
          expect(ours, `${charset} ${code}`).toBe(server);
        else if (/^(big5|ujis|eucjpms|cp932|gb18030)$/.test(charset)) expect(ours, `${charset} ${code}`).toBeNull();
      }
    }
    expect(decoded).toEqual(expect.arrayContaining(['big5', 'cp932', 'eucjpms', 'gbk', 'latin1', 'sjis', 'ujis']));
    if (!decoded.includes('gb18030')) return;
    const decode = decoderOf('gb18030');
    for (let from = 0x80; from < 0x110000; from += 8_192) {
      const points = Array.from({ length: 8_192 }, (_, index) => from + index).filter(
        (point) => point < 0x110000 && (point < 0xd800 || point > 0xdfff),
      );
      const wide = Buffer.alloc(points.length * 4);
      for (const [index, point] of points.entries()) wide.writeUInt32BE(point, index * 4);
      const [row] = await database.query(
        `SELECT HEX(CONVERT(CONVERT(x'${wide.toString('hex')}' USING utf32) USING gb18030)) AS bytes`,
      );
      const bytes = Buffer.from(String(row?.bytes), 'hex');
      expect(decode?.(bytes, 0, bytes.length) === String.fromCodePoint(...points), `from ${from.toString(16)}`).toBe(
        true,
      );
    }
  });
});
