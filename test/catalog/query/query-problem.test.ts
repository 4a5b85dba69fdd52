import { expect, test } from 'vitest';
import { describeDuckdbError } from '#catalog/query/query-problem.ts';

const told = (kind: string, message: string, sql: string) =>
  describeDuckdbError(new Error(JSON.stringify({ exception_type: kind, exception_message: message })), sql, []).message;

test.each([
  ['Conversion', `Could not convert string 'Heat' to INT32 when casting from source column title`],
  ['Invalid Input', `Malformed JSON at byte 0 of input: unexpected character.  Input: "Heat"`],
  ['Conversion', `Could not convert string "a "Heat" b" to DECIMAL(3,1)`],
  ['Conversion', `Could not convert string 'O'Heat' to INT32`],
  ['Conversion', `Malformed input ""Heat""`],
  [
    'Invalid Input',
    `Could not parse string "Heat" according to format specifier "%Y"\nHeat\n^\nError: Expected a number`,
  ],
  ['A kind of a later version', `This row has 'Heat'`],
])('an error of running tells no cell: %s %s', (kind, message) => {
  const text = told(kind, message, `SELECT title, 'O', 'a ' FROM film.movie`);
  expect(text).not.toContain('Heat');
  expect(text).toContain('…');
});

test('what the statement itself says stays', () => {
  expect(told('Conversion', `Could not convert string 'abc' to INT32`, `SELECT 'abc'::int`)).toContain(`'abc'`);
  const value = `Type INT32 with value 300 can't be cast because the value is out of range for the type INT8`;
  expect(told('Conversion', value, 'SELECT a::tinyint')).toBe(value.replace('300', '…'));
  expect(told('Binder', `Referenced column "nope" not found in FROM clause!`, 'SELECT nope')).toContain('"nope"');
});
