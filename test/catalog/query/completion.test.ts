import { describe, expect, test } from 'vitest';
import { CompletionIndex } from '#catalog/query/completion.ts';

const index = new CompletionIndex([
  {
    name: 'production.movie',
    columns: [
      { path: 'id', type: 'long' },
      { path: 'title', type: 'string' },
      { path: 'edge.director.name', type: 'string' },
      { path: 'Näme x', type: 'string' },
    ],
  },
  {
    name: 'production.talent',
    columns: [
      { path: 'id', type: 'long' },
      { path: 'full_name', type: 'string' },
    ],
  },
  {
    name: 'deals.deal',
    columns: [
      { path: 'territory', type: 'string' },
      { path: 'fee', type: 'decimal(12, 2)' },
      { path: 'order', type: 'int' },
    ],
  },
]);

/** The labels at the bar in the text. */
function at(text: string): string[] {
  const cursor = text.indexOf('|');
  return index.complete(text.replace('|', ''), cursor).suggestions.map(({ label }) => label);
}

describe('completion', () => {
  test('offers tables after FROM and JOIN, and after a comma of FROM', () => {
    expect(at('SELECT * FROM |').slice(0, 3)).toEqual(
      expect.arrayContaining(['deals.deal', 'production.movie', 'production.talent']),
    );
    expect(at('SELECT * FROM mov|')[0]).toBe('production.movie');
    expect(at('SELECT * FROM deals.deal d JOIN prod|').slice(0, 2)).toEqual(['production.movie', 'production.talent']);
    expect(at('SELECT * FROM deals.deal, tal|')[0]).toBe('production.talent');
    expect(at('SELECT * FROM production.|')).toEqual(['movie', 'talent']);
  });

  test('offers the columns of the tables in scope, written before or after the cursor', () => {
    expect(at('SELECT ti| FROM production.movie')[0]).toBe('title');
    expect(at('SELECT * FROM deals.deal WHERE t|')[0]).toBe('territory');
    expect(at('SELECT | FROM deals.deal').slice(0, 3)).toEqual(['territory', 'fee', 'order']);
    expect(at('SELECT d.| FROM production.movie m, deals.deal AS d')).toEqual(['territory', 'fee', 'order']);
    expect(at('SELECT movie.ti| FROM production.movie')).toEqual(['title']);
    expect(at('SELECT upper(ti|) FROM production.movie')[0]).toBe('title');
    expect(at('SELECT * FROM production.movie WHERE id IN (SELECT f| FROM deals.deal)')[0]).toBe('fee');
    expect(at('SELECT name| FROM production.movie')[0]).toBe('edge.director.name');
  });

  test('offers functions, keywords and common table expressions', () => {
    expect(at('SELECT coun|')[0]).toBe('count');
    expect(at('SELECT 1 WHE|')[0]).toBe('WHERE');
    expect(at('WITH open_deals AS (SELECT * FROM deals.deal) SELECT * FROM ope|')[0]).toBe('open_deals');
  });

  test('quotes what needs quotes and says where the word begins', () => {
    const { from, suggestions } = index.complete('SELECT n FROM production.movie', 8);
    expect(from).toBe(7);
    expect(suggestions.find(({ label }) => label === 'Näme x')?.insert).toBe('"Näme x"');
    expect(index.complete('SELECT ord FROM deals.deal', 10).suggestions[0]).toMatchObject({
      insert: '"order"',
      detail: 'int · deals.deal',
    });
  });

  test('is silent inside texts and comments', () => {
    expect(at("SELECT 'ti|tle' FROM production.movie")).toEqual([]);
    expect(at("SELECT 'ti|")).toEqual([]);
    expect(at('SELECT 1 -- ti|')).toEqual([]);
  });

  test('knows changes(…): its tables, inside the text, and its columns', () => {
    expect(at('SELECT * FROM chan|')).toContain('changes');
    expect(at("SELECT * FROM changes('prod|")).toEqual(['production.movie', 'production.talent']);
    expect(at("SELECT | FROM changes('production.movie', 'release')").slice(0, 5)).toEqual([
      'change',
      'before',
      'after',
      'before.id',
      'before.title',
    ]);
    expect(at("SELECT before.ti| FROM changes('production.movie', 1, 2)")).toEqual(['title']);
    expect(at("SELECT c.af| FROM changes('production.movie', 1) AS c")).toContain('after.title');
    expect(at("SELECT 'prod|' FROM production.movie")).toEqual([]);
  });

  test('quotes a namespace of several levels as one name', () => {
    const nested = new CompletionIndex([{ name: 'europe.north.movie', columns: [] }]);
    expect(nested.complete('SELECT * FROM eur', 17).suggestions[0]).toMatchObject({ insert: '"europe.north".movie' });
  });
});
