import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { CatalogIndex } from '#catalog/search/catalog-index.ts';
import { searchTables } from '#catalog/services/table/search.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';

describe('search over the catalog', () => {
  let test: TestState;
  let clock = Date.now();
  let index: CatalogIndex;

  const addTable = async (name: string, columns: string[], more: { title?: string; freshAsOf?: Date } = {}) => {
    await test.state.dataTable.create({
      data: {
        name,
        sources: [],
        key: [],
        changedAt: new Date(clock),
        ...more,
        columns: { create: columns.map((path, at) => ({ fieldId: at + 1, path, ordinal: at, type: 'string' })) },
      },
    });
  };
  const search = async (text: string) => {
    clock += 1500;
    const { hits } = await searchTables({ state: test.state, who: system, index }, text);
    return hits.map((hit) => (hit.column === null ? hit.table.name : `${hit.table.name}: ${hit.column.path}`));
  };

  beforeAll(async () => {
    test = await createState();
    index = new CatalogIndex(test.state, () => clock);
    await addTable('production.movie', ['id', 'title', 'edge.director.name'], { title: 'Films of the studio' });
    await addTable('production.movie_credit', ['movie_id', 'role']);
    await addTable('deals.deal', ['deal_id', 'movie_id', 'fee']);
    await addTable('deals.fee', ['id', 'amount']);
    await addTable('deals.old_fee_plan', ['plan'], { freshAsOf: new Date(1) });
    await addTable('deals.new_fee_plan', ['plan'], { freshAsOf: new Date(2) });
  });
  afterAll(() => test?.drop());

  it('puts exact names first, then the column that matched, then parts of names by freshness', async () => {
    expect(await search('fee')).toEqual(['deals.fee', 'deals.deal: fee', 'deals.new_fee_plan', 'deals.old_fee_plan']);
  });

  it('finds nested columns, words of a title, and tables that match every word', async () => {
    expect(await search('director')).toEqual(['production.movie: edge.director.name']);
    expect(await search('FILMS')).toEqual(['production.movie']);
    expect(await search('movie role')).toEqual(['production.movie_credit: role']);
    expect(await search('nowhere')).toEqual([]);
    expect(await search('')).toHaveLength(6);
  });

  it('ranks by use where matches are equal', async () => {
    await test.state.report.create({
      data: { name: 'plans', owner: 'a@b.example', sql: '', reads: ['deals.old_fee_plan'] },
    });
    clock += 120_000;
    expect((await search('plan')).slice(0, 2)).toEqual(['deals.old_fee_plan: plan', 'deals.new_fee_plan: plan']);
  });

  it('follows new tables, new columns and dropped tables', async () => {
    await addTable('deals.territory', ['code']);
    expect(await search('territory')).toEqual(['deals.territory']);
    await test.state.dataTable.update({
      where: { name: 'deals.territory' },
      data: {
        changedAt: new Date(clock),
        columns: { create: { fieldId: 2, path: 'continent', ordinal: 1, type: 'string' } },
      },
    });
    expect(await search('continent')).toEqual(['deals.territory: continent']);
    await test.state.dataTable.delete({ where: { name: 'deals.territory' } });
    expect(await search('territory')).toEqual([]);
  });
});
