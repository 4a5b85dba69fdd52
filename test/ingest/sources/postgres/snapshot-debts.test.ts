import { expect, test } from 'vitest';
import type { BatchItem } from '#ingest/event.ts';
import { RowMemory } from '#ingest/sources/postgres/row-memory.ts';
import { SnapshotDebts } from '#ingest/sources/postgres/snapshot-debts.ts';

const table = 's.public.movie';
const begin: BatchItem = {
  kind: 'snapshot-begin',
  table,
  schema: { fields: [], key: [] },
  generation: 1,
  isChunked: true,
};
const end: BatchItem = { kind: 'snapshot-end', table, generation: 1, rows: 0 };

function setup() {
  const memory = new RowMemory(null);
  return { memory, debts: new SnapshotDebts({ source: 's', memory }) };
}

test('a debt is paid once something behind the end of its snapshot is durable', () => {
  const { memory, debts } = setup();
  memory.owe('public.movie');
  expect(debts.note([begin], 10n)).toBe(false);
  expect(debts.note([end], 20n)).toBe(true);
  debts.settle(20n);
  expect(memory.owed.has('public.movie')).toBe(true);
  debts.settle(21n);
  expect(memory.owed.has('public.movie')).toBe(false);
});

test('a snapshot pays no debt that was made after it began', () => {
  const { memory, debts } = setup();
  debts.note([begin], 10n);
  memory.owe('public.movie');
  expect(debts.note([end], 20n)).toBe(false);
  debts.settle(30n);
  expect(memory.owed.has('public.movie')).toBe(true);
  // Nor one that was made when it was handed out, and not durable yet.
  debts.note([begin], 30n);
  debts.note([end], 40n);
  memory.owe('public.movie');
  debts.settle(50n);
  expect(memory.owed.has('public.movie')).toBe(true);
});

test('one that goes on after a restart pays what its table owes', () => {
  const { memory, debts } = setup();
  memory.owe('public.movie', 'of before');
  debts.begin('public.movie');
  expect(debts.note([end], 20n)).toBe(true);
  debts.settle(21n);
  expect(memory.owed.size).toBe(0);
});
