import { expect, test } from 'vitest';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { follow, sourceName } from './follower.ts';

test('a snapshot, then inserts, updates, deletes, key changes and truncation', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE movie (id int PRIMARY KEY, title text NOT NULL, released date);
    CREATE TABLE empty (id bigint PRIMARY KEY);
    INSERT INTO movie VALUES (1, 'One', '2001-01-01'), (2, 'Two', NULL);`);
  const follower = await follow(database.url, sourceName());
  expect(follower.ended.map((end) => end.rows)).toEqual([0, 2]);
  await database.query(`
    BEGIN;
    INSERT INTO movie VALUES (3, 'Three', '1969-12-31');
    UPDATE movie SET title = 'Uno' WHERE id = 1;
    COMMIT;
    UPDATE movie SET id = 20 WHERE id = 2;
    DELETE FROM movie WHERE id = 3;`);
  await follower.caughtUp();
  expect(follower.rowsOf('movie')).toEqual([
    { id: 1, title: 'Uno', released: 11323 },
    { id: 20, title: 'Two', released: null },
  ]);
  const events = follower.eventsOf('movie').filter(({ event }) => event.op !== 'r');
  expect(events.map(({ event }) => [event.op, event.before, event.after])).toEqual([
    ['c', null, [3, 'Three', -1]],
    ['u', null, [1, 'Uno', 11323]],
    ['d', [2, UNKNOWN, UNKNOWN], null],
    ['c', null, [20, 'Two', null]],
    ['d', [3, UNKNOWN, UNKNOWN], null],
  ]);
  const ids = events.map(({ event, changes }) => changes.transactions[event.tx]?.id);
  expect(ids[0]).toBe(ids[1]);
  expect(new Set(ids).size).toBe(2);

  await database.query('TRUNCATE movie, empty');
  await follower.caughtUp();
  expect(follower.rowsOf('movie')).toEqual([]);
  expect(follower.eventsOf('empty').map(({ event }) => event.op)).toEqual(['t']);
  await follower.stop();
  await follower.source.close();
});
