import { expect, test } from 'vitest';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { follow, sourceName } from './follower.ts';

/** Read in files that DuckDB makes of the text, in files of rows that we decode, and, without a key, in one go. */
const tables = {
  plain: 'id int PRIMARY KEY, d float8, same float8, f float4',
  ending: 'id int PRIMARY KEY, f float4, d float8, what text',
  lists: 'id int PRIMARY KEY, d float8, l float8[]',
  loose: 'id int, d float8, f float4',
};

const few = `(ARRAY['0', '-0', '1.5', NULL, 'NaN', 'Infinity', '-Infinity', '-2'])[1 + i % 8]`;
const zero = `(ARRAY['-0', '0', '0'])[1 + i % 3]`;
const rows = {
  plain: `i, ${few}::float8, '-0', ${zero}::float4`,
  ending: `i, ${zero}::float4, ${few}::float8, 'ends in -0'`,
  lists: `i, ${zero}::float8, ARRAY[${zero}, ${few}]::float8[]`,
  loose: `i, ${few}::float8, ${zero}::float4`,
};

test('zeros keep their signs, and NaN and the infinities are themselves, by snapshot and by stream', async () => {
  await using database = await createDatabase();
  for (const [name, columns] of Object.entries(tables)) {
    await database.query(`CREATE TABLE ${name} (${columns}); CREATE TABLE ${name}_new (${columns});`);
    await database.query(
      `INSERT INTO ${name} SELECT ${rows[name as keyof typeof rows]} FROM generate_series(1, 400) i`,
    );
  }
  const follower = await follow(database.url, sourceName());
  for (const name of Object.keys(tables)) await database.query(`INSERT INTO ${name}_new SELECT * FROM ${name}`);
  await follower.caughtUp();
  await follower.stop();
  await follower.source.close();

  for (const name of Object.keys(tables)) {
    const [snapshot, stream] = [name, `${name}_new`].map((table) =>
      follower
        .eventsOf(table)
        .map(({ event }) => event.after ?? [])
        .sort((a, b) => Number(a[0]) - Number(b[0])),
    );
    expect(snapshot).toHaveLength(400);
    // Object.is tells the two zeros apart, as toEqual does.
    expect(snapshot, name).toEqual(stream);
    const all = snapshot?.flat(2) ?? [];
    for (const value of [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(
        all.some((cell) => Object.is(cell, value)),
        `${name} ${value}`,
      ).toBe(true);
    }
  }
});
