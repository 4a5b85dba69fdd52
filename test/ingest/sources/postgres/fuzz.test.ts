import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { sourceName } from './follower.ts';
import { readPayloads, recordStream, type ToldEvent } from './raw-stream.ts';
import { type PlainEvent, type PlainRow, plainValue, referenceEvents } from './reference-decoder.ts';

const runs = Number(process.env.FUZZ_RUNS ?? 1000);
let database: TestDatabase;
/** Of the same history: told when it has committed, and all of it while under way. */
let recordings: Buffer[][];

beforeAll(async () => {
  database = await createDatabase();
  recordings = await record();
});

afterAll(() => database.drop());

test('a recorded stream is told as a plain reading of the protocol has it, in whatever pieces it comes', async () => {
  const kinds = recordings.flat().filter((payload) => payload[0] === 119);
  const letters = new Set(kinds.map((payload) => String.fromCharCode(payload[25] ?? 0)));
  expect([...letters].sort().join('')).toBe('ABCDEIMORSTUYc');
  for (const recorded of recordings) {
    const plain = referenceEvents(recorded);
    expect(plain.isWhole).toBe(true);
    expect(plain.events.length).toBeGreaterThan(80);
    for (const pieceBytes of [1, 7, 1000, 1 << 20]) {
      const told = await readPayloads(recorded, pieceBytes);
      expect(told.failure).toBeNull();
      expect(firstDifference(told.events, plain.events)).toBeNull();
      expect(told.events.length).toBe(plain.events.length);
    }
  }
});

test('changed, lost, repeated and random messages end the stream with an error, or are told as they are', async () => {
  const change = fc.record({
    kind: fc.constantFrom('byte', 'bit', 'cut', 'longer', 'drop', 'repeat', 'swap', 'random', 'number'),
    at: fc.nat(),
    offset: fc.nat(),
    value: fc.nat(255),
    bytes: fc.uint8Array({ maxLength: 40 }),
  });
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 2 }),
      fc.integer({ min: 20, max: 5000 }),
      async (changes, pieceBytes) => {
        let payloads: Buffer[] = [...(recordings[changes.length % 2] ?? [])];
        for (const one of changes) payloads = mutated(payloads, one);
        const plain = referenceEvents(payloads);
        const told = await readPayloads(payloads, pieceBytes);
        expect(firstDifference(told.events, plain.events)).toBeNull();
        if (told.failure === null) {
          expect(plain.isWhole).toBe(true);
          // Of a transaction that is not over, nothing has to be told.
          if (plain.isEnded) expect(told.events.length).toBe(plain.events.length);
        } else {
          refused += 1;
          expect(['source_protocol', 'value_unsupported']).toContain(told.failure.code);
        }
      },
    ),
    { numRuns: runs, endOnFailure: true },
  );
  expect(refused).toBeGreaterThan(runs / 4);
});

type Mutation = { kind: string; at: number; offset: number; value: number; bytes: Uint8Array };

function mutated(payloads: Buffer[], { kind, at, offset, value, bytes }: Mutation): Buffer[] {
  const index = at % payloads.length;
  const payload = Buffer.from(payloads[index] ?? Buffer.alloc(0));
  // Behind the header of the replication protocol, whose positions and clock say nothing of changes.
  const place = payload[0] === 119 ? 25 + (offset % (payload.length - 25)) : 0;
  const others = [...payloads];
  switch (kind) {
    case 'byte':
      payload[place] = value;
      break;
    case 'bit':
      payload[place] = (payload[place] ?? 0) ^ (1 << (value % 8));
      break;
    case 'number':
      payload.writeUInt32BE((value * 0x01010101) >>> 0, Math.min(place, payload.length - 4));
      break;
    case 'cut':
      others[index] = payload.subarray(0, place);
      return others;
    case 'longer':
      others[index] = Buffer.concat([payload, bytes]);
      return others;
    case 'drop':
      others.splice(index, 1);
      return others;
    case 'repeat':
      others.splice(index, 0, payload);
      return others;
    case 'swap':
      others.splice(index, 1);
      others.splice(value % others.length, 0, payload);
      return others;
    default:
      others.splice(index, 0, Buffer.concat([Buffer.from([119]), Buffer.alloc(24), bytes]));
      return others;
  }
  others[index] = payload;
  return others;
}

/** Null where what was told is, table by table, what the plain reading begins with; a batch may hold its tables in any order. */
function firstDifference(told: readonly ToldEvent[], plain: readonly PlainEvent[]): object | null {
  for (const table of new Set(told.map((event) => event.table))) {
    const expected = plain.filter((event) => event.table === table);
    for (const [index, event] of told.filter((one) => one.table === table).entries()) {
      const found = difference(event, expected[index]);
      if (found !== null) return found;
    }
  }
  return null;
}

/** Null where both say the same. */
function difference(told: ToldEvent, plain: PlainEvent | undefined): object | null {
  if (plain === undefined) return { told };
  const isSame =
    told.table === plain.table &&
    told.op === plain.op &&
    isSameRow(told, told.before, plain, plain.before) &&
    isSameRow(told, told.after, plain, plain.after);
  return isSame ? null : { told, plain };
}

function isSameRow(told: ToldEvent, row: Row | null, plain: PlainEvent, texts: PlainRow | null): boolean {
  if (row === null || texts === null) return row === null && texts === null;
  return texts.every((text, index) => {
    const column = plain.columns[index];
    const value = row[index];
    if (column === undefined || told.fields[index] !== column.name) return false;
    if (text === 'unknown') return value === UNKNOWN;
    if (text === null) return value === null;
    const expected = plainValue(column, text);
    if (isSameValue(value, expected)) return true;
    // What its type cannot carry stands as text in a column behind the table's own.
    const beside = row.slice(plain.columns.length);
    return value === null && beside.includes(text.toString('utf8'));
  });
}

function isSameValue(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((one, index) => isSameValue(one, b[index]));
  return Object.is(a, b) || (a === 0 && b === 0);
}

/** Every kind of message there is, under way and at once. */
async function record(): Promise<Buffer[][]> {
  const name = sourceName();
  const { query } = database;
  await query(`
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE film (id int PRIMARY KEY, big bigint, name text, ok boolean, price numeric(10,2), at timestamptz, raw bytea,
      x double precision, tags int[], feeling mood);
    CREATE TABLE whole (id int, name text); ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE other (id int PRIMARY KEY);
    CREATE PUBLICATION ${name} FOR TABLE film, whole, other;`);
  for (const slot of [name, `${name}_now`])
    await query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
  await query(`SELECT pg_replication_origin_create('${name}')`);
  const row = (id: string) =>
    `${id}, ${id} * 1234567890123, 'Ünï ' || ${id}, ${id} % 2 = 0, ${id} * 1.25, timestamptz '2024-02-29 12:34:56.789Z' + ${id} * interval '1 day',
     decode(lpad(to_hex(${id}), 8, '0'), 'hex'), ${id} / 7.0, ARRAY[${id}, NULL, -1], 'glad'::mood`;
  await query(`INSERT INTO film SELECT ${row('i')} FROM generate_series(1, 5) i`);
  await query(
    `UPDATE film SET name = NULL, x = 'NaN', big = -5 WHERE id = 1; UPDATE film SET id = 50 WHERE id = 2; DELETE FROM film WHERE id = 3`,
  );
  await query(
    `BEGIN; INSERT INTO whole VALUES (1, 'a'), (2, NULL); UPDATE whole SET name = 'b'; DELETE FROM whole WHERE id = 1; COMMIT`,
  );
  await query(`SELECT pg_replication_origin_session_setup('${name}'); INSERT INTO film SELECT ${row('100')}`);
  await query('SELECT pg_replication_origin_session_reset()');
  await query(
    "SELECT pg_logical_emit_message(true, 'note', 'within'), pg_logical_emit_message(false, 'note', 'without')",
  );
  const [one, two] = [
    new pg.Client({ connectionString: database.url }),
    new pg.Client({ connectionString: database.url }),
  ];
  for (const client of [one, two]) {
    await client.connect();
    await client.query('BEGIN');
  }
  await one.query(`INSERT INTO film SELECT ${row('i')} FROM generate_series(1000, 1005) i`);
  await two.query('INSERT INTO other VALUES (1), (2)');
  await one.query(`SAVEPOINT a; ALTER TABLE film ADD COLUMN more int; INSERT INTO film (id, more) VALUES (2000, 1); ROLLBACK TO a;
    SAVEPOINT b; UPDATE film SET ok = NULL WHERE id >= 1003; RELEASE b; SELECT pg_logical_emit_message(true, 'note', 'under way')`);
  await query('INSERT INTO whole VALUES (9, $1)', ['between']);
  await two.query('INSERT INTO other VALUES (3)');
  await one.query('COMMIT');
  await two.query('ROLLBACK');
  await query('TRUNCATE whole, other; INSERT INTO film (id) SELECT i FROM generate_series(3000, 3060) i');
  for (const client of [one, two]) await client.end();
  const options = { publications: [name], major: 18, hasMessages: true };
  const url = `${database.url}?options=${encodeURIComponent('-c debug_logical_replication_streaming=immediate')}`;
  return [
    await recordStream(database.url, { ...options, slot: name }),
    await recordStream(url, { ...options, slot: `${name}_now` }),
  ];
}
