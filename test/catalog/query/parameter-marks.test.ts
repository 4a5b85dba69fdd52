import { expect, test } from 'vitest';
import { markParameters } from '#catalog/query/parameter-marks.ts';

test.each([
  ['SELECT :a, :b + :A', 'SELECT $a, $b + $a', ['a', 'b']],
  [
    'WHERE x = :a AND y IN (:b, :c) LIMIT :n OFFSET :m',
    'WHERE x = $a AND y IN ($b, $c) LIMIT $n OFFSET $m',
    ['a', 'b', 'c', 'n', 'm'],
  ],
  ['WHERE x BETWEEN :a AND :b', 'WHERE x BETWEEN $a AND $b', ['a', 'b']],
  ["x::int, ':a', \":b\", 'it''s :c', $$ :d $$, $q$ :e $q$, E'\\' :f'", null, []],
  ['-- :a\n/* :b /* :c */ :d */ 1', null, []],
  ["{'a':x, 'b': y}, list[1:n], list[a:b], (SELECT a: 1)", null, []],
  ["{'a': :x}, [:y], list[:i]", "{'a': $x}, [$y], list[$i]", ['x', 'y', 'i']],
  ['CASE WHEN :a THEN :b ELSE :c END', 'CASE WHEN $a THEN $b ELSE $c END', ['a', 'b', 'c']],
  ["'unended :a", null, []],
])('%s', (sql, marked, names) => {
  expect(markParameters(sql)).toEqual({ sql: marked ?? sql, names });
  expect(markParameters(sql).sql).toHaveLength(sql.length);
});
