import { expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { checkStatement } from '#catalog/query/check-statement.ts';

/** What the statement needs of each table, and the column of a bare count. */
async function needs(sql: string): Promise<unknown[]> {
  const { tables, count } = await check(sql);
  return [...tables.map((table) => table.needs), ...(count === null ? [] : [count])];
}

async function mentions(sql: string) {
  return (await check(sql)).tables;
}

async function check(sql: string) {
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(
      'SELECT json_serialize_sql($1::VARCHAR, skip_default := true, skip_null := true, skip_empty := true)',
      [sql],
    );
    return checkStatement(sql, String(reader.getRows()[0]?.[0]), 0);
  } finally {
    connection.closeSync();
  }
}

test.each([
  ['SELECT sum(x) FROM a.b'],
  ['SELECT s, count(*), avg(x) FROM a.b AS t GROUP BY ALL ORDER BY 1 LIMIT 3'],
  ['SELECT s FROM a.b GROUP BY s'],
  ['SELECT DISTINCT s FROM a.b'],
  ['SELECT round(sum(x) / count(*), 2) FROM a.b'],
  ["SELECT count(*) FROM a.b WHERE upper(s) = 'X'"],
  ['SELECT sum(x) FROM a.b WHERE x = 3'],
  ['SELECT sum(x) FROM a.b AT (VERSION => 3)'],
  ['SELECT sum(x) FROM a.b UNION ALL SELECT max(y) FROM a.b'],
  ['SELECT s FROM (SELECT 1 AS s, sum(x) FROM a.b) WHERE s = 1'],
])('all rows: %s', async (sql) => {
  expect(await needs(sql)).toEqual(['all']);
});

test.each([
  ['SELECT * FROM a.b'],
  ['SELECT * FROM a.b ORDER BY x LIMIT 10'],
  ['SELECT x FROM a.b WHERE x = 3'],
  ['SELECT * FROM (SELECT sum(x) FROM a.b WHERE x = 3)'],
  ['SELECT sum(x) OVER () FROM a.b'],
  ['SELECT (SELECT 1 + count(*) FROM range(3)) FROM a.b'],
  ['SELECT * FROM (SELECT s, sum(x) FROM a.b GROUP BY s) WHERE s = 1'],
  ['SELECT s, sum(x) FROM a.b GROUP BY s HAVING s = 1'],
  ['SELECT sum(x) FROM a.b TABLESAMPLE 10%'],
  ['SELECT sum(x) FROM a.b WHERE x IN (SELECT * FROM range(3))'],
  ['SELECT sum(x) FROM a.b UNION ALL SELECT x FROM a.b'],
  ['WITH t AS (SELECT s, sum(x) FROM a.b GROUP BY s) SELECT * FROM t WHERE s = 1'],
])('maybe some rows: %s', async (sql) => {
  expect(await needs(sql)).toEqual(['some']);
});

test('joined tables may be narrowed by each other', async () => {
  expect(await needs('SELECT count(*) FROM a.b JOIN a.c USING (id)')).toEqual(['some', 'some']);
});

test.each([
  ['SELECT count(*) FROM a.b', 'count_star()'],
  ['FROM a.b AS t SELECT COUNT() AS "How many"', 'How many'],
  ['SELECT count(*) FROM a.b AT (VERSION => 3);', 'count_star()'],
])('only their number: %s', async (sql, column) => {
  expect(await needs(sql)).toEqual(['count', column]);
});

test.each([
  ['SELECT count(*) FILTER (x > 1) FROM a.b'],
  ['SELECT count(DISTINCT x) FROM a.b'],
  ['SELECT count(x) FROM a.b'],
  ['SELECT count(*) + 1 FROM a.b'],
  ['SELECT count(*), 1 FROM a.b'],
  ['SELECT count(*) FROM a.b LIMIT 0'],
  ['SELECT count(*) FROM a.b AS t(y)'],
  ['SELECT count(*) FROM a.b GROUP BY x'],
  ['SELECT count(*) FROM a.b HAVING count(*) > 3'],
])('more than their number: %s', async (sql) => {
  expect(await needs(sql)).toEqual(['all']);
});

test.each([
  ['SELECT sum(X) FROM a.b AS t WHERE t.y = 3', ['x', 't', 'y']],
  ['SELECT count(*) FROM a.b WHERE length(s) > 3', ['s']],
  ['SELECT max(t.s.x) FROM a.b AS t GROUP BY "Y"', ['t', 's', 'x', 'y']],
  ['SELECT sum(x) FROM a.b UNION ALL SELECT max(y) FROM a.b', ['x', 'y']],
  ['SELECT max(COLUMNS(*)) FROM a.b', null],
  ['SELECT sum(x) FROM a.b UNION ALL SELECT max(COLUMNS(*)) FROM a.b', null],
  ['SELECT x FROM a.b', null],
])('names of what it reads: %s', async (sql, names) => {
  const [table] = await mentions(sql);
  expect(table?.reads?.toSorted() ?? null).toEqual(names?.toSorted() ?? null);
});
