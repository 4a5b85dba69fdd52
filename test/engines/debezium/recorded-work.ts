/*
 * What the recordings of test/fixtures/debezium tell of. The table `last` is written last, so that whoever records knows when
 * all is there; it sorts behind all others in a snapshot, too.
 */

const big = `repeat('t', 3000)`;

export const postgresTables = `
  CREATE EXTENSION hstore;
  CREATE EXTENSION ltree;
  CREATE TYPE mood AS ENUM ('sad, but "true"', 'ok');
  CREATE DOMAIN price AS numeric(10, 3);
  CREATE TABLE matrix (
    id int PRIMARY KEY, b boolean, i2 int2, i8 int8 NOT NULL DEFAULT 7, o oid, f4 float4, f8 float8, n numeric(12, 2), nn numeric,
    n39 numeric(39, 1), nneg numeric(3, -2), n25 numeric(2, 5), t text, c char(5), j json, jb jsonb, u uuid, y bytea, d date, tm time,
    tm0 time(0), ts timestamp, ts3 timestamp(3), tz timestamptz, ttz timetz, iv interval, m money, ip inet, mac macaddr, b3 bit(3),
    b1 bit(1), vb bit varying(70), x xml, pt point, r int4range, tv tsvector, lt ltree, mo mood, pr price, ia int4[], ta text[],
    ya bytea[], na numeric(9, 2)[], tza timestamptz[], moa mood[], da date[], ua uuid[], h hstore);
  INSERT INTO matrix VALUES (
    1, true, -5, 9223372036854775807, 4294967295, 1.1, 1e300, -1234567890.12, 12345678901234567890.123, 1.5, 12300, 0.00012, 'hé🎬',
    'ab', '{"b": 1.0}', '{"x": 12345678901234567890.10}', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '\\x00ff', '2024-02-29',
    '12:34:56.789012', '23:59:59', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789012+02',
    '12:30:00+02', '1 year 2 mons -3 days 04:05:06.7', '12.34', '10.0.0.0/8', '08:00:2b:01:02:03', '101', '1', '1011',
    '<a b="c">&amp;</a>', '(1,2.5)', '[1,5)', 'a fat cat', 'a.b', 'ok', 1.5, '{1,NULL,3}', '{a,NULL,"b c"}', '{"\\\\x01"}', '{1.5,NULL}',
    '{2024-01-01 00:00:00+00}', '{ok}', '{2024-01-01}', '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}', 'a=>1,b=>NULL');
  INSERT INTO matrix (id) VALUES (2);
  INSERT INTO matrix (id, f4, f8, ts, tz) VALUES (3, 'NaN', '-Infinity', 'infinity', '-infinity'), (4, '-0', '0.1', '-infinity', '12345-01-01 00:00:00+00');
  INSERT INTO matrix (id, tm) VALUES (5, '24:00:00');
  CREATE TABLE bag (a int, b text);
  ALTER TABLE bag REPLICA IDENTITY FULL;
  INSERT INTO bag VALUES (1, 'x'), (1, 'x');
  CREATE TABLE toast (id int PRIMARY KEY, x int, t text, ta text[], ia int4[], y bytea, h hstore, j jsonb);
  ALTER TABLE toast ALTER t SET STORAGE EXTERNAL, ALTER ta SET STORAGE EXTERNAL, ALTER ia SET STORAGE EXTERNAL,
    ALTER y SET STORAGE EXTERNAL, ALTER h SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL;
  INSERT INTO toast VALUES (1, 1, ${big}, array[${big}], array_fill(1, array[800]), decode(repeat('ab', 3000), 'hex'),
    hstore('a', ${big}), jsonb_build_object('a', ${big}));
  CREATE TABLE "odd NAME" (id int PRIMARY KEY, "a b" int);
  INSERT INTO "odd NAME" VALUES (1, 2);
  CREATE TABLE zz_last (id int PRIMARY KEY);
  ALTER TABLE zz_last RENAME TO last;
  INSERT INTO last VALUES (1);`;

/** Each in a transaction of its own. */
export const postgresChanges = [
  'UPDATE toast SET x = 2',
  'UPDATE toast SET id = 7, x = 3',
  `UPDATE bag SET b = 'y'; DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag)`,
  'UPDATE matrix SET id = 6 WHERE id = 2; DELETE FROM matrix WHERE id = 5',
  `SELECT pg_logical_emit_message(true, 'p', 'hello')`,
  'ALTER TABLE toast ADD z int NOT NULL DEFAULT 4, DROP x; UPDATE toast SET z = 5',
  'TRUNCATE "odd NAME"; INSERT INTO "odd NAME" VALUES (2, 3)',
  'INSERT INTO last VALUES (2)',
  'INSERT INTO last VALUES (3)',
];

export const mariadbTables = [
  `CREATE TABLE studio.matrix (
    id BIGINT UNSIGNED PRIMARY KEY, i1 TINYINT, b BOOLEAN, i2 SMALLINT UNSIGNED, i3 MEDIUMINT, i4 INT UNSIGNED, i8 BIGINT,
    u8 BIGINT UNSIGNED, n DECIMAL(12,2), n65 DECIMAL(65,30), f FLOAT, d DOUBLE, bi BIT, b5 BIT(5), b64 BIT(64), y YEAR, dt DATE,
    t0 TIME, t6 TIME(6), dt0 DATETIME, dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL, c CHAR(5), v VARCHAR(50),
    tx TEXT, bin BINARY(4), vb VARBINARY(9), bl BLOB, e ENUM('a','b,c'), s SET('x','y'), j JSON, g GEOMETRY, p POINT)
    CHARACTER SET utf8mb4`,
  `SET STATEMENT time_zone = '+00:00' FOR INSERT INTO studio.matrix VALUES (
    18446744073709551615, -128, TRUE, 65535, -8388608, 4294967295, -9223372036854775808, 18446744073709551615, -1234567890.12,
    1234567890123456789.000000000000000000000000000001, 1.1, 1e300, b'1', b'10101', b'1000000000000000000000000000000000000000000000000000000000000001',
    2155, '2024-02-29', '12:34:56', '23:59:59.999999', '2024-02-29 12:34:56', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56',
    '2024-02-29 12:34:56.789012', 'ab', 'hé🎬', 'text', X'00ff', X'00ff', X'00ff', 'b,c', 'x,y', '{"b": 1.0}',
    ST_GeomFromText('LINESTRING(0 0,1 1)'), ST_GeomFromText('POINT(1 2.5)'))`,
  'INSERT INTO studio.matrix (id) VALUES (2)',
  `INSERT INTO studio.matrix (id, t0, t6) VALUES (3, '-838:59:59', '838:59:59.5')`,
  'CREATE TABLE studio.bag (a INT, b VARCHAR(9))',
  `INSERT INTO studio.bag VALUES (1, 'x'), (1, 'x')`,
  'CREATE TABLE studio.last (id INT PRIMARY KEY)',
  'INSERT INTO studio.last VALUES (1)',
];

export const mariadbChanges = [
  `UPDATE studio.matrix SET v = 'changed' WHERE id = 2`,
  'UPDATE studio.matrix SET id = 4 WHERE id = 2',
  'DELETE FROM studio.matrix WHERE id = 3',
  `UPDATE studio.bag SET b = 'y' LIMIT 1`,
  'DELETE FROM studio.bag LIMIT 1',
  'ALTER TABLE studio.matrix ADD z INT NOT NULL DEFAULT 4, DROP COLUMN p',
  'UPDATE studio.matrix SET z = 5 WHERE id = 4',
  'INSERT INTO studio.last VALUES (2)',
  'INSERT INTO studio.last VALUES (3)',
];
