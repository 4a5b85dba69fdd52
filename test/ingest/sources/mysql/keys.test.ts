import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Row } from '#catalog/schemas/schema.ts';
import { isMysql } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer, type TestServer } from '#test/fixtures/mysql-server.ts';
import { Mirror, never } from './mirror.ts';

const count = 2_000;

/** Types of a key's columns, and the values of row `seq`, in an order that is not that of their texts. */
const keys: [title: string, columns: string, values: string][] = [
  ['INT', 'k INT', '1000 - CAST(seq AS SIGNED)'],
  ['BIGINT UNSIGNED', 'k BIGINT UNSIGNED', '18446744073709551615 - seq * 1000'],
  ['DECIMAL', 'k DECIMAL(30, 10)', '(CAST(seq AS SIGNED) - 1000) / 7'],
  ['FLOAT', 'k FLOAT', '(CAST(seq AS SIGNED) - 1000) / 8'],
  ['DOUBLE', 'k DOUBLE', '(CAST(seq AS SIGNED) - 1000) / 7e0'],
  ['VARCHAR', 'k VARCHAR(40) CHARACTER SET utf8mb4', "CONCAT('it''s \\\\ é🎬 ', IF(seq % 2, 'A', 'b'), seq)"],
  ['VARCHAR of latin1', 'k VARCHAR(40) CHARACTER SET latin1', "CONCAT('ÿé ', seq)"],
  ['CHAR without case', 'k CHAR(20) CHARACTER SET ucs2', "CONCAT(IF(seq % 2, 'A', 'a'), seq)"],
  ['BINARY', 'k BINARY(16)', 'UNHEX(LEFT(SHA2(seq, 256), 32))'],
  ['VARBINARY', 'k VARBINARY(16)', "CONCAT(UNHEX('00ff'), seq)"],
  [
    'UUID',
    'k UUID',
    "CONCAT(LEFT(SHA2(seq, 256), 8), '-', SUBSTR(SHA2(seq, 256), 9, 4), '-4', SUBSTR(SHA2(seq, 256), 14, 3), '-8', SUBSTR(SHA2(seq, 256), 18, 3), '-', RIGHT(SHA2(seq, 256), 12))",
  ],
  ['INET6', 'k INET6', "CONCAT('2001:db8::', HEX(seq))"],
  ['DATE', 'k DATE', "DATE '2000-01-01' + INTERVAL seq DAY"],
  ['DATETIME(6)', 'k DATETIME(6)', "TIMESTAMP '1969-12-31 23:59:00.000001' + INTERVAL seq * 333333 MICROSECOND"],
  ['TIMESTAMP(3)', 'k TIMESTAMP(3)', "TIMESTAMP '2024-03-31 01:59:00.001' + INTERVAL seq SECOND"],
  ['TIME(2)', 'k TIME(2)', "ADDTIME('00:00:00.25', SEC_TO_TIME(seq))"],
  ['BIT', 'k BIT(40)', 'seq * 1000000'],
  ['several', "a ENUM('z', 'a', 'm'), b SET('x', 'y'), c INT", '1 + seq % 3, seq % 4, seq'],
  ['YEAR and text', 'a YEAR, b VARCHAR(9)', "1901 + seq % 200, CONCAT('b', seq)"],
];

describeServers('a key', ['MariaDB 11.4', 'MySQL 9'], (name) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer(name);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  test.each(keys.filter(([type]) => !isMysql(name) || !/UUID|INET/.test(type)))(
    'of %s orders the chunks, and finds its rows again',
    async (_, columns, values) => {
      await using database = await server.createDatabase();
      const names = columns.split(/, (?=[a-z] )/).map((column) => column.split(' ')[0]);
      await database.query("SET time_zone = '+00:00'");
      await database.query(`CREATE TABLE t (${columns}, n INT, PRIMARY KEY (${names.join(', ')}))`);
      await database.query(`INSERT INTO t SELECT ${values}, seq FROM ${server.numbers(count)}`);
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      await mirror.start();
      await mirror.caughtUp();
      const table = mirror.table(`${database.name}.t`);
      const numbers = [...table.rows.values()].map(({ n }) => n as number).sort((a, b) => a - b);
      expect(numbers).toEqual(Array.from({ length: count }, (_unused, index) => index + 1));
      const chunks = mirror.batches.flatMap(({ items }) => items).filter(({ kind }) => kind === 'snapshot-chunk');
      expect(chunks.length).toBeGreaterThan(2);
      const { schema } = table;
      if (schema === null) throw new Error('The source told no schema.');
      const some = [...table.rows.values()].filter((row) => (row.n as number) % 97 === 0);
      const asked = some.map((row) => names.map((name) => row[name ?? '']) as Row);
      const again = await mirror.source.readRows(`s.${database.name}.t`, schema, asked, never);
      expect([...again.values()].map((row) => row.at(-1))).toEqual(expect.arrayContaining(some.map(({ n }) => n)));
      expect(again.size).toBe(some.length);
      await mirror.stop();
    },
  );
});
