import fc from 'fast-check';
import { isMysql, type ServerName } from '#test/fixtures/mysql-programs.ts';

export interface Column {
  sql: string;
  /** Where the type is, if not everywhere. */
  only?: (server: ServerName) => boolean;
  type: string;
  /** The literal, and the value that must come out where that is not only the same both ways; `odd`: as text beside a NULL. */
  values: fc.Arbitrary<{ literal: string; value?: unknown; odd?: string }>;
}

const day = 86_400_000;
const micros = (min: string, max: string) => {
  const at = (iso: string) => BigInt(Date.parse(iso)) * 1000n;
  return fc.bigInt({ min: at(min), max: at(max) });
};
const isoOf = (value: bigint) => {
  const fraction = ((value % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const text = new Date(Number((value - fraction) / 1000n)).toISOString().slice(0, 19).replace('T', ' ');
  return `${text}.${String(fraction).padStart(6, '0')}`;
};
const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\0', '\\0')}'`;
const hex = (bytes: Uint8Array) => `X'${Buffer.from(bytes).toString('hex')}'`;
const whole = (min: bigint, max: bigint, to: (value: bigint) => unknown = (value) => value) =>
  fc
    .oneof(fc.bigInt({ min, max }), fc.constantFrom(min, max))
    .map((value) => ({ literal: String(value), value: to(value) }));
const digitsText = (unscaled: bigint, scale: number) => {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`;
};
const decimal = (precision: number, scale: number) =>
  fc.bigInt({ min: -(10n ** BigInt(precision)) + 1n, max: 10n ** BigInt(precision) - 1n }).map((unscaled) => ({
    literal: digitsText(unscaled, scale),
    value: unscaled as unknown,
  }));
const among = (...pairs: [literal: string, value?: unknown][]) =>
  fc.constantFrom(...pairs.map(([literal, value]) => (value === undefined ? { literal } : { literal, value })));
const odd = (...texts: string[]) =>
  fc.constantFrom(...texts.map((text) => ({ literal: quote(text), value: null, odd: text })));
const text = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom('', ' ', 'NULL', "'", '"', '\\', '🎬', 'é\u0301', '\0a'),
  )
  .filter((value) => value.isWellFormed());
const texts = text.map((value) => ({ literal: quote(value), value: value as unknown }));
const ofLetters = (letters: string) =>
  fc.array(fc.constantFrom(...letters), { maxLength: 9 }).map((list) => {
    const value = list.join('');
    return { literal: quote(value), value: value as unknown };
  });
const bytes = fc
  .uint8Array({ maxLength: 20 })
  .map((value) => ({ literal: hex(value), value: new Uint8Array(value) as unknown }));
const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const double = fc.double({ noNaN: true, noDefaultInfinity: true });
const dates = fc.integer({ min: -719_162, max: 2_932_896 });
const dateText = (days: number) => new Date(days * day).toISOString().slice(0, 10);
const unsigned = (bits: number) => (1n << BigInt(bits)) - 1n;
const signed = (bits: number): [bigint, bigint] => [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n];

const json = fc.json({ stringUnit: 'binary' }).filter((value) => value.isWellFormed());
const isMariadbFrom = (version: number) => (server: ServerName) =>
  !isMysql(server) && Number(server.split(' ')[1]?.split('.')[0]) * 100 + Number(server.split('.')[1]) >= version;

const typeMatrix: readonly Column[] = [
  { sql: 'TINYINT', type: 'int', values: whole(...signed(8), Number) },
  { sql: 'TINYINT UNSIGNED', type: 'int', values: whole(0n, unsigned(8), Number) },
  { sql: 'BOOLEAN', type: 'int', values: among(['TRUE', 1], ['FALSE', 0]) },
  { sql: 'SMALLINT', type: 'int', values: whole(...signed(16), Number) },
  { sql: 'SMALLINT UNSIGNED ZEROFILL', type: 'int', values: whole(0n, unsigned(16), Number) },
  { sql: 'MEDIUMINT', type: 'int', values: whole(...signed(24), Number) },
  { sql: 'MEDIUMINT UNSIGNED', type: 'int', values: whole(0n, unsigned(24), Number) },
  { sql: 'INT', type: 'int', values: whole(...signed(32), Number) },
  { sql: 'INT UNSIGNED', type: 'long', values: whole(0n, unsigned(32)) },
  { sql: 'BIGINT', type: 'long', values: whole(...signed(64)) },
  { sql: 'BIGINT UNSIGNED', type: 'decimal(20, 0)', values: whole(0n, unsigned(64)) },
  { sql: 'BIGINT(20) UNSIGNED ZEROFILL', type: 'decimal(20, 0)', values: whole(0n, unsigned(64)) },
  { sql: 'DECIMAL(12,2)', type: 'decimal(12, 2)', values: decimal(12, 2) },
  { sql: 'DECIMAL(38,0)', type: 'decimal(38, 0)', values: decimal(38, 0) },
  { sql: 'DECIMAL(30,30)', type: 'decimal(30, 30)', values: decimal(30, 30) },
  // MySQL's scale ends at 30.
  { sql: 'DECIMAL(38,38)', only: isMariadbFrom(1005), type: 'decimal(38, 38)', values: decimal(38, 38) },
  { sql: 'DECIMAL(10,5) UNSIGNED ZEROFILL', type: 'decimal(10, 5)', values: among(['0', 0n], ['12.5', 1_250_000n]) },
  {
    sql: 'DECIMAL(65,30)',
    type: 'string',
    values: decimal(65, 30).map(({ literal }) => ({ literal, value: literal })),
  },
  {
    sql: 'DECIMAL(65,0) ZEROFILL',
    type: 'string',
    values: among(['0', '0'], ['12', '12'], ['1e64', `1${'0'.repeat(64)}`]),
  },
  {
    sql: 'FLOAT',
    type: 'float',
    values: float.map((value) => ({ literal: `${String(value)}e0`.replace(/e(.*)e0$/, 'e$1'), value })),
  },
  { sql: 'FLOAT(10,3)', type: 'float', values: among(['3.14'], ['-0.001'], ['9999999.999'], ['0.1']) },
  {
    sql: 'DOUBLE',
    type: 'double',
    values: double.map((value) => ({ literal: `${String(value)}e0`.replace(/e(.*)e0$/, 'e$1'), value })),
  },
  {
    sql: 'DOUBLE(20,5)',
    type: 'double',
    values: double.map((value) => ({ literal: String((value % 1e14).toFixed(4)) })),
  },
  { sql: 'YEAR', type: 'int', values: among(["'0000'", 0], ["'1901'", 1901], ["'2155'", 2155], ["'2024'", 2024]) },
  { sql: 'BIT', type: 'boolean', values: among(["b'1'", true], ["b'0'", false]) },
  { sql: 'BIT(5)', type: 'long', values: whole(0n, unsigned(5)) },
  { sql: 'BIT(63)', type: 'long', values: whole(0n, unsigned(63)) },
  { sql: 'BIT(64)', type: 'decimal(20, 0)', values: whole(0n, unsigned(64)) },
  {
    sql: 'DATE',
    type: 'date',
    values: fc.oneof(
      dates.map((days) => ({ literal: quote(dateText(days)), value: days as unknown })),
      odd('0000-00-00', '2024-00-00', '2024-02-00', '2024-02-31', '0000-01-01'),
    ),
  },
  {
    sql: 'TIME(6)',
    type: 'time',
    values: fc.oneof(
      fc
        .bigInt({ min: 0n, max: 86_399_999_999n })
        .map((value) => ({ literal: quote(isoOf(value).slice(11)), value: value as unknown })),
      odd(
        '-00:00:01.000000',
        '-01:00:00.000000',
        '24:00:00.000000',
        '838:59:58.999999',
        '-838:59:59.000000',
        '-00:00:00.000001',
        '-12:34:56.789000',
        '100:00:00.500000',
      ),
    ),
  },
  {
    sql: 'TIME',
    type: 'time',
    values: fc.oneof(
      among(["'00:00:00'", 0n], ["'23:59:59'", 86_399_000_000n]),
      odd('-00:01:00', '-838:59:59', '24:00:00'),
    ),
  },
  {
    sql: 'TIME(3)',
    type: 'time',
    values: fc.oneof(among(["'00:00:00.125'", 125_000n]), odd('-00:00:00.125', '-01:00:00.000', '99:00:00.001')),
  },
  {
    sql: 'DATETIME(6)',
    type: 'timestamp',
    values: fc.oneof(
      micros('0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z').map((value) => ({
        literal: quote(isoOf(value)),
        value: value as unknown,
      })),
      odd('0000-00-00 00:00:00.000000', '2024-00-15 10:11:12.000000', '2024-02-30 23:59:59.999999'),
    ),
  },
  {
    sql: 'DATETIME(2)',
    type: 'timestamp',
    values: fc.oneof(
      among(["'2024-02-29 01:02:03.45'", BigInt(Date.parse('2024-02-29T01:02:03.45Z')) * 1000n]),
      odd('0000-00-00 00:00:00.00', '2024-00-15 10:11:12.34'),
    ),
  },
  {
    sql: 'DATETIME',
    type: 'timestamp',
    values: fc.oneof(among(["'1969-12-31 23:59:59'", -1_000_000n]), odd('0000-00-00 00:00:00')),
  },
  {
    sql: 'TIMESTAMP(6) NULL',
    type: 'timestamptz',
    values: fc.oneof(
      micros('1970-01-01T00:00:01Z', '2038-01-19T03:14:07Z').map((value) => ({
        literal: quote(isoOf(value)),
        value: value as unknown,
      })),
      odd('0000-00-00 00:00:00.000000'),
    ),
  },
  {
    sql: 'TIMESTAMP NULL',
    type: 'timestamptz',
    values: fc.oneof(
      among(["'2024-02-29 01:02:03'", BigInt(Date.parse('2024-02-29T01:02:03Z')) * 1000n]),
      odd('0000-00-00 00:00:00'),
    ),
  },
  {
    sql: 'CHAR(30) CHARACTER SET utf8mb4',
    type: 'string',
    values: texts.map((v) => ({ literal: v.literal, value: String(v.value).replace(/ +$/, '') })),
  },
  { sql: 'VARCHAR(200) CHARACTER SET utf8mb4', type: 'string', values: texts },
  { sql: 'LONGTEXT CHARACTER SET utf8mb4', type: 'string', values: texts },
  { sql: 'TEXT CHARACTER SET utf8mb3', type: 'string', values: ofLetters('aé€中\u0301') },
  { sql: 'VARCHAR(20) CHARACTER SET latin1', type: 'string', values: ofLetters('aé€ÿ\u0081Ž') },
  { sql: 'VARCHAR(20) CHARACTER SET latin2', type: 'string', values: ofLetters('aěščřžýŁ') },
  { sql: 'VARCHAR(20) CHARACTER SET cp1251', type: 'string', values: ofLetters('aжЯёЂ') },
  { sql: 'VARCHAR(20) CHARACTER SET koi8r', type: 'string', values: ofLetters('aжЯё') },
  { sql: 'VARCHAR(20) CHARACTER SET greek', type: 'string', values: ofLetters('aαΩώ') },
  { sql: 'VARCHAR(20) CHARACTER SET ucs2', type: 'string', values: ofLetters('aé€中') },
  {
    sql: 'VARCHAR(20) CHARACTER SET utf16',
    type: 'string',
    values: ofLetters('aé€中🎬'.normalize())
      .map((v) => v)
      .filter(({ value }) => String(value).isWellFormed()),
  },
  { sql: 'VARCHAR(20) CHARACTER SET utf16le', type: 'string', values: ofLetters('aé€中') },
  { sql: 'VARCHAR(20) CHARACTER SET utf32', type: 'string', values: ofLetters('aé€中') },
  { sql: 'VARCHAR(20) CHARACTER SET sjis', type: 'string', values: ofLetters('a日本ソ表ｱ') },
  { sql: 'VARCHAR(20) CHARACTER SET gbk', type: 'string', values: ofLetters('a中文') },
  { sql: 'VARCHAR(20) CHARACTER SET big5', type: 'string', values: ofLetters('a中文あ⑽¥') },
  { sql: 'VARCHAR(20) CHARACTER SET cp932', type: 'string', values: ofLetters('a日本ソ～①\ue69d') },
  { sql: 'VARCHAR(20) CHARACTER SET ujis', type: 'string', values: ofLetters('a日本〜ｱ\ue000') },
  { sql: 'VARCHAR(20) CHARACTER SET eucjpms', type: 'string', values: ofLetters('a日本～①髙\ue3ac') },
  { sql: 'VARCHAR(20) CHARACTER SET gb18030', only: isMysql, type: 'string', values: ofLetters('a中文🎬é') },
  { sql: 'VARCHAR(20) CHARACTER SET gb2312', type: 'string', values: ofLetters('a中文') },
  { sql: 'VARCHAR(20) CHARACTER SET euckr', type: 'string', values: ofLetters('a한국') },
  {
    sql: 'BINARY(20)',
    type: 'binary',
    values: bytes.map(({ literal, value }) => ({
      literal,
      value: new Uint8Array(Buffer.concat([value as Uint8Array], 20)),
    })),
  },
  { sql: 'VARBINARY(20)', type: 'binary', values: bytes },
  { sql: 'TINYBLOB', type: 'binary', values: bytes },
  { sql: 'LONGBLOB', type: 'binary', values: bytes },
  {
    sql: "ENUM('red', 'a,b', 'it''s', '', 'é')",
    type: 'string',
    values: among(
      ["'red'", 'red'],
      ["'a,b'", 'a,b'],
      ["'it''s'", "it's"],
      ["''", ''],
      ["'é'", 'é'],
      ["'none of them'", ''],
    ),
  },
  { sql: "ENUM('ä', 'ö') CHARACTER SET latin1", type: 'string', values: among(["'ä'", 'ä'], ["'ö'", 'ö']) },
  {
    sql: "SET('x', 'y z', 'ü')",
    type: 'string',
    values: among(["''", ''], ["'x'", 'x'], ["'ü,x'", 'x,ü'], ["'x,y z,ü'", 'x,y z,ü']),
  },
  {
    sql: 'JSON',
    only: isMariadbFrom(1005),
    type: 'string',
    values: json.map((value) => ({ literal: quote(value), value: value as unknown })),
  },
  // MySQL prints it in its own way, the same in the log's binary form as in a SELECT.
  { sql: 'JSON', only: isMysql, type: 'string', values: json.map((value) => ({ literal: quote(value) })) },
  {
    sql: 'JSON',
    only: isMysql,
    type: 'string',
    values: among(
      ["CAST(TIMESTAMP '2024-02-29 01:02:03.000004' AS JSON)"],
      ["CAST(TIME '-838:59:58.5' AS JSON)"],
      ["CAST(DATE '0001-01-01' AS JSON)"],
      ['JSON_ARRAY(12345678901234567890.123456789, 1.50, -0.1e-300, 18446744073709551615, -9223372036854775808)'],
      ["JSON_ARRAY(b'101', x'00ff', CAST(2024 AS YEAR), ST_GeomFromText('POINT(1 2)'), TRUE, NULL)"],
      ["JSON_OBJECT('b', 1, 'aa', 2, 'a', JSON_OBJECT('', REPEAT('x', 70000)), 'é', REPEAT('y', 200))"],
      ["CAST(CONCAT('[', REPEAT('65536,', 9000), '1]') AS JSON)"],
    ),
  },
  {
    sql: 'GEOMETRY',
    type: 'binary',
    values: among(
      ["ST_GeomFromText('POINT(1 2)')"],
      ["ST_GeomFromText('LINESTRING(0 0, 1 1.5)', 4326)"],
      ["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1), POLYGON((0 0, 1 0, 1 1, 0 0)))')"],
    ),
  },
  { sql: 'POINT', type: 'binary', values: among(["ST_GeomFromText('POINT(-1.25 1e300)', 3857)"]) },
  {
    sql: 'UUID',
    only: isMariadbFrom(1011),
    type: 'uuid',
    values: fc
      .uuid({ version: [1, 2, 3, 4, 5] })
      .map((value) => ({ literal: quote(value.toUpperCase()), value: value as unknown })),
  },
  {
    sql: 'INET6',
    only: isMariadbFrom(1005),
    type: 'string',
    values: among(
      ["'::1'", '::1'],
      ["'2001:db8::ff00:42:8329'", '2001:db8::ff00:42:8329'],
      ["'::ffff:192.168.0.1'", '::ffff:192.168.0.1'],
      ["'::'", '::'],
      ["'fe80:0:0:1::'"],
    ),
  },
  {
    sql: 'INET4',
    only: isMariadbFrom(1011),
    type: 'string',
    values: among(["'1.2.3.4'", '1.2.3.4'], ["'0.0.0.0'", '0.0.0.0'], ["'255.255.255.0'", '255.255.255.0']),
  },
  {
    sql: 'VARCHAR(200) COMPRESSED CHARACTER SET utf8mb4',
    only: isMariadbFrom(1005),
    type: 'string',
    values: fc.constantFrom('', 'a', 'abc'.repeat(60)).map((v) => ({ literal: quote(v), value: v as unknown })),
  },
  {
    sql: 'BLOB COMPRESSED',
    only: isMariadbFrom(1005),
    type: 'binary',
    values: fc
      .constantFrom(0, 1, 300)
      .map((n) => ({ literal: hex(Buffer.alloc(n, 7)), value: new Uint8Array(n).fill(7) as unknown })),
  },
  {
    sql: 'VECTOR(3)',
    only: (server) => isMysql(server) || isMariadbFrom(1107)(server),
    type: 'binary',
    // MariaDB takes none whose square is beyond a float.
    values: fc.array(fc.float({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 3, maxLength: 3 }).map((list) => {
      const bytes = new Uint8Array(Float32Array.from(list).buffer);
      return { literal: hex(bytes), value: bytes as unknown };
    }),
  },
];

/** Every type of this server that is carried, with its values, ordinary and odd. */
export function typesOf(server: ServerName): Column[] {
  return typeMatrix.filter(({ only }) => only === undefined || only(server));
}
