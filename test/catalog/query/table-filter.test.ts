import { expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { checkStatement } from '#catalog/query/check-statement.ts';
import { markParameters } from '#catalog/query/parameter-marks.ts';
import type { TableFilter } from '#catalog/query/table-filter.ts';

/** The filters that the statement puts on its tables, written as SQL. */
async function filtersOf(sql: string): Promise<Record<string, string>> {
  const connection = await connectDuckdb();
  const marked = markParameters(sql).sql;
  try {
    const reader = await connection.runAndReadAll(
      'SELECT json_serialize_sql($1::VARCHAR, skip_default := true, skip_null := true, skip_empty := true)',
      [marked],
    );
    const { tables } = checkStatement(marked, String(reader.getRows()[0]?.[0]), 0);
    return Object.fromEntries(tables.map(({ table, filter }) => [table, filter === null ? 'all' : print(filter)]));
  } finally {
    connection.closeSync();
  }
}

function print(filter: TableFilter): string {
  if ('of' in filter) return `(${filter.of.map(print).join(` ${filter.op} `)})`;
  const column = filter.column.join('.');
  if (!('value' in filter)) return `${column} is ${filter.op}`;
  const { value } = filter;
  return `${column} ${filter.op} ${value.kind === 'parameter' ? `:${value.name}` : `${value.kind} ${value.text}`}`;
}

test.each([
  ["FROM n.t WHERE status = 'x' AND length(title) > 3", { t: '(status = text x)' }],
  ['FROM n.t WHERE 5 < t.id AND n.t.price <= -1.50', { t: '(id > number 5 and price <= number -1.50)' }],
  ['FROM n.t AS m WHERE m.who.name = :p', { t: 'who.name = :p' }],
  [
    "FROM n.t WHERE id IN (1, 2) OR day BETWEEN DATE '2026-01-01' AND '2026-02-01'",
    {
      t: '((id = number 1 or id = number 2) or (day >= date 2026-01-01 and day <= text 2026-02-01))',
    },
  ],
  [
    "FROM n.t WHERE made >= TIMESTAMPTZ '2026-01-01' AND gone IS NULL AND id IS NOT NULL",
    {
      t: '(made >= timestamp 2026-01-01 and gone is null and id is not null)',
    },
  ],
  // Nothing is known of one side of OR, of NOT, of expressions.
  ['FROM n.t WHERE id = 1 OR length(title) > 3', { t: 'all' }],
  ['FROM n.t WHERE NOT id = 1', { t: 'all' }],
  ['FROM n.t WHERE id + 1 = 2', { t: 'all' }],
  ['FROM n.t WHERE id = NULL', { t: 'all' }],
  // Which table an unqualified name is of is not known.
  ['FROM n.t, n.u WHERE id = 1', { t: 'all', u: 'all' }],
  ['FROM n.t JOIN n.u USING (id) WHERE t.id = 1 AND u.x = 2', { t: '(id = number 1)', u: '(x = number 2)' }],
  ['FROM n.t LEFT JOIN n.u USING (id) WHERE t.x = 1 AND u.x IS NULL', { t: '(x = number 1)', u: 'all' }],
  ['FROM n.t FULL JOIN n.u USING (id) WHERE t.x = 1', { t: 'all', u: 'all' }],
  // A table that is read in two places needs the rows of both.
  ['FROM n.t AS a JOIN n.t AS b USING (id) WHERE a.x = 1 AND b.x = 2', { t: '((x = number 1) or (x = number 2))' }],
  ['SELECT (SELECT count(*) FROM n.t), * FROM n.t WHERE x = 1', { t: 'all' }],
  ['WITH c AS (FROM n.t WHERE x = 1) FROM c WHERE y = 2', { t: 'x = number 1' }],
  // In the subquery x is the outer table's.
  ['FROM n.t WHERE EXISTS (SELECT 1 FROM n.u AS t WHERE t.x = 1)', { t: 'all', u: 'x = number 1' }],
  ['FROM n.t AS a(b, c) WHERE b = 1', { t: 'all' }],
  ['FROM n.t TABLESAMPLE 10% WHERE id = 1', { t: 'all' }],
  ["FROM n.t AT (VERSION => 'x') WHERE id = 1", { t: 'id = number 1' }],
  ["FROM changes('n.t', 1) WHERE change = 'insert'", { t: 'all' }],
])('%s', async (sql, expected) => {
  expect(await filtersOf(sql)).toEqual(expected);
});
