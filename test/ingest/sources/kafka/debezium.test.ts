import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { typeName, UNKNOWN } from '#catalog/schemas/schema.ts';
import { recordMariadb, recordPostgres } from '#test/fixtures/debezium.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { startMariadb } from '#test/fixtures/mariadb.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { Mirror, printable } from '../mysql/mirror.ts';
import { typesOf } from '../mysql/type-matrix.ts';
import { follow, sourceName } from '../postgres/follower.ts';
import { followTopics, lastRowsOf, openTopics, topicFolder } from './topics.ts';

/** Columns whose types our own source for Postgres and Debezium's topics carry alike. */
const alike = {
  b: ['boolean', fc.boolean().map(String)],
  i2: ['int2', fc.integer({ min: -32768, max: 32767 }).map(String)],
  i4: ['int4', fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map(String)],
  i8: ['int8', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)],
  f4: ['float4', fc.float().map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
  f8: ['float8', fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
  n: ['numeric(38, 10)', fc.bigInt({ min: -(10n ** 27n), max: 10n ** 27n }).map((value) => `${value}.5`)],
  nn: ['numeric', fc.constantFrom('0', '1.1', '-12345678901234567890.00123', '1e40', '0.000000000000000000001')],
  t: ['text', fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', ''))],
  c: ['char(5)', fc.constantFrom('', 'ab', 'abcde')],
  j: ['json', fc.json().map((text) => text.replaceAll('\\u0000', ''))],
  jb: ['jsonb', fc.constantFrom('{"b": 1, "a": 12345678901234567890.10}', '[1e3]', '"x"')],
  u: ['uuid', fc.uuid()],
  y: ['bytea', fc.uint8Array({ maxLength: 40 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)],
  d: ['date', fc.constantFrom('0001-01-01', '1582-10-15', '2024-02-29', '9999-12-31')],
  tm: ['time', fc.constantFrom('00:00:00', '23:59:59.999999')],
  ts: ['timestamp', fc.constantFrom('1582-10-15 00:00:00', '2024-02-29 12:34:56.789012', '9999-12-31 23:59:59.999999')],
  tz: ['timestamptz', fc.constantFrom('1900-01-01 00:00:00Z', '2024-02-29 12:34:56.789012+02')],
  ia: ['int4[]', fc.constantFrom('{}', '{1,NULL,-3}')],
  ta: ['text[]', fc.constantFrom('{}', '{a,NULL,"b \\"c"}')],
  na: ['numeric(9, 2)[]', fc.constantFrom('{1.50,NULL}')],
} as const satisfies Record<string, [string, fc.Arbitrary<string>]>;

const names = Object.keys(alike) as (keyof typeof alike)[];

function rowsOf(rows: Iterable<Record<string, unknown>>, columns: readonly string[]) {
  return [...rows].map((row) => columns.map((name) => row[name] ?? null)).sort((a, b) => Number(a[0]) - Number(b[0]));
}

const offsetsOf = (folder: string) => fs.readFileSync(`${folder}.offsets`);
/** The last byte of a map as Java serializes it. */
const areWhole = (offsets: Buffer) => offsets.at(-1) === 0x78;

describeWith('debezium', "Debezium's engine", () => {
  test.each([
    ['json-schemas', 1],
    ['avro', 3],
  ] as const)(
    'over Postgres, %s in %i partitions: its topics land what our own source lands, DDL in between, and after restarts',
    async (format, partitions) => {
      await using database = await createDatabase();
      using held = topicFolder();
      const folder = path.join(held.path, 'topics');
      const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
      console.info(`Debezium over Postgres: SEED=${seed}`);
      await database.query(
        `CREATE TABLE movie (id int PRIMARY KEY, ${names.map((name) => `${name} ${alike[name][0]}`).join(', ')})`,
      );
      const cells = fc.tuple(...names.map((name) => fc.option(alike[name][1], { freq: 8 })));
      const rows = fc.sample(cells, { seed, numRuns: 120 });
      const insert = async (from: number, to: number) => {
        for (let id = from; id < to; id++) {
          const values = names.map((_, index) => `$${index + 2}`).join(', ');
          const list = names.map((name) => `"${name}"`).join(', ');
          await database.query(`INSERT INTO movie (id, ${list}) VALUES ($1, ${values})`, [id, ...(rows[id] ?? [])]);
        }
      };
      await insert(0, 60);
      const own = await follow(database.url, sourceName(), ['public.movie']);
      const slot = sourceName();
      const options = { folder, format, partitions };
      const recorded = () =>
        fs.existsSync(folder)
          ? fs
              .readdirSync(folder)
              .filter((file) => file.includes('.movie-'))
              .reduce((sum, file) => sum + fs.readFileSync(path.join(folder, file), 'utf8').split('\n').length - 1, 0)
          : 0;
      {
        await using first = await recordPostgres(database.url, slot, options);
        await first.until(() => recorded() === 60);
        await insert(60, 90);
        // Killed within its snapshot it would take another one, and tell of no delete in between.
        await first.until(() => recorded() >= 70);
        await database.query('UPDATE movie SET i4 = 7, t = $1 WHERE id % 3 = 0', ['changed']);
        await database.query('ALTER TABLE movie ADD z int, DROP c');
        await database.query('UPDATE movie SET z = id WHERE id % 2 = 0');
        await database.query('DELETE FROM movie WHERE id % 7 = 0');
        // Killed, it tells again what it had told.
        let kept = Buffer.alloc(0);
        await first.until(() => {
          kept = offsetsOf(folder);
          return areWhole(kept);
        });
        await first.stop('SIGKILL');
        // It empties its offsets before it writes them, and without any it would take another snapshot, too.
        if (!areWhole(offsetsOf(folder))) fs.writeFileSync(`${folder}.offsets`, kept);
      }
      await database.query('UPDATE movie SET id = id + 1000 WHERE id % 5 = 1');
      await database.query('INSERT INTO movie (id, z) VALUES (5000, 1)');
      await using second = await recordPostgres(database.url, slot, options);
      await own.caughtUp();
      await own.stop();
      const columns = ['id', ...names.filter((name) => name !== 'c'), 'z'];
      const expected = rowsOf(own.rowsOf('movie'), columns);
      const source = openTopics(folder, { tables: ['public.movie'] });
      const follower = await followTopics(source);
      await second.until(() => follower.failure !== null || lastRowsOf(follower, 'movie').has(5000));
      if (follower.failure !== null) throw follower.failure;
      await second.stop();
      await follower.caughtUp();
      await follower.stop();
      await source.close();
      expect(rowsOf(lastRowsOf(follower, 'movie').values(), columns), `SEED=${seed}`).toEqual(expected);
      const shape = follower.eventsOf('movie').at(-1)?.changes.schema.fields;
      const ownShape = own.eventsOf('movie').at(-1)?.changes.schema.fields;
      const typesOf = (fields: typeof shape) =>
        fields?.filter(({ name }) => columns.includes(name)).map(({ name, type }) => `${name} ${typeName(type)}`);
      expect(typesOf(shape)).toEqual(typesOf(ownShape));
      expect(follower.seen.some(({ event }) => event.after?.includes(UNKNOWN))).toBe(false);
    },
    300_000,
  );
});

/** Types of MariaDB that are carried otherwise, or whose values Debezium changes. */
const otherwise =
  /GEOM|POINT|LINE|POLY|VECTOR|INET|UUID|FLOAT|DOUBLE\(|JSON|SET|ENUM|YEAR|CHAR|TEXT|TIMESTAMP|ZEROFILL|BINARY|BLOB/;

describeWith('debezium', "Debezium's engine over MariaDB", () => {
  describeWith('mariadb', 'on a server', () => {
    test('its topics tell what our own source tells, by snapshot and by stream', async () => {
      await using server = await startMariadb('11.4');
      await using database = await server.createDatabase();
      using held = topicFolder();
      const folder = path.join(held.path, 'topics');
      const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
      console.info(`Debezium over MariaDB: SEED=${seed}`);
      const columns = typesOf('MariaDB 11.4').filter(({ sql }) => !otherwise.test(sql.toUpperCase()));
      expect(columns.length).toBeGreaterThan(12);
      await database.query(
        `CREATE TABLE m (id INT PRIMARY KEY, ${columns.map(({ sql }, index) => `c${index} ${sql}`).join(', ')})`,
      );
      const rows = fc.sample(fc.tuple(...columns.map(({ values }) => fc.option(values, { freq: 8 }))), {
        numRuns: 60,
        seed,
      });
      const insert = async (from: number, to: number) => {
        for (let id = from; id < to; id++) {
          // What its type cannot carry Debezium tells in its own way.
          const cells =
            rows[id]?.map((cell) => (cell === null || cell.odd !== undefined ? 'NULL' : cell.literal)) ?? [];
          await database.query(`INSERT INTO m VALUES (${[id, ...cells].join(', ')})`);
        }
      };
      await insert(0, 30);
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      await mirror.start();
      await mirror.until(() => mirror.table(`${database.name}.m`).isWhole);
      await using recording = await recordMariadb(server.url(), 4712, {
        folder,
        format: 'json-schemas',
        properties: {
          'database.include.list': database.name,
          'bigint.unsigned.handling.mode': 'precise',
          'enable.time.adjuster': 'false',
        },
      });
      await recording.until(() => fs.existsSync(path.join(folder, `pf.${database.name}.m-0.ndjson`)));
      await insert(30, 60);
      await database.query('DELETE FROM m WHERE id % 5 = 0');
      await database.query('UPDATE m SET id = id + 100 WHERE id % 5 = 1');
      await database.query('INSERT INTO m (id) VALUES (999)');
      await mirror.caughtUp();
      const source = openTopics(folder, { tables: [`${database.name}.m`] });
      const follower = await followTopics(source);
      await recording.until(() => follower.failure !== null || lastRowsOf(follower, 'm').has(999));
      if (follower.failure !== null) throw follower.failure;
      await follower.stop();
      await source.close();
      const own = mirror.table(`${database.name}.m`);
      await mirror.stop();
      const told = lastRowsOf(follower, 'm');
      expect(told.size).toBe(own.rows.size);
      for (const values of own.rows.values()) {
        for (const [index, { sql }] of columns.entries()) {
          const name = `c${index}`;
          expect(printable({ value: told.get(values.id)?.[name] }), `SEED=${seed} ${sql}`).toEqual(
            printable({ value: values[name] }),
          );
        }
      }
    }, 300_000);
  });
});
