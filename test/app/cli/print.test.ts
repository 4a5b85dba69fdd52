import { expect, test } from 'vitest';
import { printTable } from '#app/cli/print.ts';

test('rows are padded, numbers to the right, NULL told apart from empty text', () => {
  const rows = [
    ['1', 'a', null],
    ['10', '映画', ''],
  ];
  expect(printTable(['n', 'title', 'note'], rows)).toBe(' n  title  note\n──  ─────  ────\n 1  a      NULL\n10  映画');
});

test('a table may have any number of rows', () => {
  const text = printTable(
    ['n'],
    Array.from({ length: 200_000 }, (_, n) => [n]),
  );
  expect(text.split('\n').length).toBe(200_002);
});
