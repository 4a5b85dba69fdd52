import type pg from 'pg';
import { dealKinds, territories } from './deals-database.ts';
import { madeUpCharacter, madeUpCompany, madeUpName, madeUpNote, madeUpSentence, madeUpText } from './made-up.ts';
import { statuses } from './production-database.ts';
import type { Random } from './random.ts';

/** Something that a person at the studio does in one transaction of one database; answers how many rows changed. */
export interface Job {
  name: string;
  database: 'production' | 'deals';
  /** How often it is done, relative to the others. */
  weight: number;
  run(client: pg.ClientBase, random: Random): Promise<number>;
}

export const jobs: readonly Job[] = [
  { name: 'move a film on', database: 'production', weight: 6, run: moveOn },
  { name: 'move a schedule', database: 'production', weight: 4, run: moveSchedule },
  { name: 'finish a shooting day', database: 'production', weight: 5, run: finishDay },
  { name: 'write a note', database: 'production', weight: 5, run: writeNote },
  { name: 'change a budget', database: 'production', weight: 2, run: changeBudget },
  { name: 'give a credit', database: 'production', weight: 4, run: giveCredit },
  { name: 'take a credit back', database: 'production', weight: 1, run: takeCreditBack },
  { name: 'book somebody', database: 'production', weight: 2, run: bookSomebody },
  { name: 'pitch a film', database: 'production', weight: 1, run: pitch },
  { name: 'drop a pitch', database: 'production', weight: 1, run: dropPitch },
  { name: 'receive a payment', database: 'deals', weight: 5, run: receivePayment },
  { name: 'offer a deal', database: 'deals', weight: 3, run: offerDeal },
  { name: 'sign a deal', database: 'deals', weight: 3, run: signDeal },
  { name: 'end a deal', database: 'deals', weight: 1, run: endDeal },
];

async function change(client: pg.ClientBase, sql: string, values: unknown[] = []): Promise<number> {
  return (await client.query(sql, values)).rowCount ?? 0;
}

/** A row that nobody else works on, from anywhere in the table; null if none fits. */
async function pick<T extends pg.QueryResultRow>(
  client: pg.ClientBase,
  random: Random,
  table: string,
  condition = 'true',
  values: unknown[] = [],
): Promise<T | null> {
  const place = `$${values.length + 1}`;
  const sql = (bound: string) =>
    `SELECT * FROM ${table} WHERE (${condition}) AND ${bound} ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`;
  const inside = `id >= (SELECT coalesce(max(id), 0) FROM ${table}) * ${place}::float8`;
  const { rows } = await client.query<T>(sql(inside), [...values, random.next()]);
  if (rows[0] !== undefined) return rows[0];
  return (await client.query<T>(sql(`${place}::float8 >= 0`), [...values, 0])).rows[0] ?? null;
}

/** The service marks a film as changed with everything that belongs to it. */
function stampMovie(client: pg.ClientBase, id: string): Promise<number> {
  return change(client, 'UPDATE movie SET updated_at = now() WHERE id = $1', [id]);
}

async function moveOn(client: pg.ClientBase, random: Random): Promise<number> {
  const movie = await pick<{ id: string; status: string }>(client, random, 'movie', 'status = ANY($1)', [
    statuses.slice(0, -1),
  ]);
  const next = statuses[statuses.indexOf((movie?.status ?? 'released') as (typeof statuses)[number]) + 1];
  if (movie === null || next === undefined) return 0;
  const released = next === 'released' ? 'CURRENT_DATE' : 'released';
  let changes = await change(
    client,
    `UPDATE movie SET status = $2, released = ${released}, note = $3, updated_at = now() WHERE id = $1`,
    [movie.id, next, madeUpNote(random)],
  );
  if (next === 'pre-production')
    changes += await change(
      client,
      `INSERT INTO shooting_day (movie_id, day, call_time, location_id, unit, scenes)
       SELECT $1, CURRENT_DATE + $2::int + 2 * n, '07:00', $3, 'main', 1 + n % 5 FROM generate_series(1, $4::int) n`,
      [movie.id, random.int(10, 60), random.int(1, 100), random.int(3, 6)],
    );
  if (next === 'post')
    changes += await change(
      client,
      `UPDATE shooting_day SET status = 'shot', updated_at = now() WHERE movie_id = $1 AND status = 'planned'`,
      [movie.id],
    );
  return changes;
}

async function moveSchedule(client: pg.ClientBase, random: Random): Promise<number> {
  const first = await pick<{ movie_id: string; day: string }>(client, random, 'shooting_day', "status = 'planned'");
  if (first === null) return 0;
  const days = random.int(1, 5);
  const changes = await change(
    client,
    `UPDATE shooting_day SET day = day + $2::int, note = $3, updated_at = now() WHERE id IN (
       SELECT id FROM shooting_day WHERE movie_id = $1 AND status = 'planned' ORDER BY day LIMIT $4)`,
    [first.movie_id, days, madeUpNote(random), random.int(1, 4)],
  );
  return changes + (await stampMovie(client, first.movie_id));
}

async function finishDay(client: pg.ClientBase, random: Random): Promise<number> {
  const day = await pick<{ id: string; movie_id: string }>(client, random, 'shooting_day', "status = 'planned'");
  if (day === null) return 0;
  if (random.chance(0.1)) {
    const deleted = await change(client, 'DELETE FROM shooting_day WHERE id = $1', [day.id]);
    return deleted + (await stampMovie(client, day.movie_id));
  }
  const status = random.chance(0.9) ? 'shot' : 'cancelled';
  const changes = await change(client, 'UPDATE shooting_day SET status = $2, updated_at = now() WHERE id = $1', [
    day.id,
    status,
  ]);
  return changes + (await stampMovie(client, day.movie_id));
}

async function writeNote(client: pg.ClientBase, random: Random): Promise<number> {
  const movie = await pick<{ id: string }>(client, random, 'movie');
  return change(client, 'UPDATE movie SET note = $2, updated_at = now() WHERE id = $1', [
    movie?.id ?? null,
    madeUpNote(random),
  ]);
}

async function changeBudget(client: pg.ClientBase, random: Random): Promise<number> {
  const movie = await pick<{ id: string }>(client, random, 'movie', "status <> 'released' AND budget IS NOT NULL");
  return change(client, 'UPDATE movie SET budget = round(budget * $2::numeric, 2), updated_at = now() WHERE id = $1', [
    movie?.id ?? null,
    (random.int(90, 115) / 100).toFixed(2),
  ]);
}

async function giveCredit(client: pg.ClientBase, random: Random): Promise<number> {
  const movie = await pick<{ id: string }>(client, random, 'movie', "status <> 'released'");
  const talent = await pick<{ id: string }>(client, random, 'talent');
  if (movie === null || talent === null) return 0;
  const part = random.pick(['cast', 'cast', 'cast', 'sound', 'costume', 'music']);
  const changes = await change(
    client,
    'INSERT INTO credit (movie_id, talent_id, part, character_name, billing) VALUES ($1, $2, $3, $4, $5)',
    [
      movie.id,
      talent.id,
      part,
      part === 'cast' ? madeUpCharacter(random) : null,
      part === 'cast' ? random.int(3, 12) : null,
    ],
  );
  return changes + (await stampMovie(client, movie.id));
}

async function takeCreditBack(client: pg.ClientBase, random: Random): Promise<number> {
  const credit = await pick<{ id: string; movie_id: string }>(client, random, 'credit', "part = 'cast'");
  if (credit === null) return 0;
  const changes = await change(client, 'DELETE FROM credit WHERE id = $1', [credit.id]);
  return changes + (await stampMovie(client, credit.movie_id));
}

async function bookSomebody(client: pg.ClientBase, random: Random): Promise<number> {
  const talent = await pick<{ id: string }>(client, random, 'talent');
  return change(client, 'UPDATE talent SET is_available = NOT is_available, updated_at = now() WHERE id = $1', [
    talent?.id ?? null,
  ]);
}

async function pitch(client: pg.ClientBase, random: Random): Promise<number> {
  const director = await pick<{ id: string }>(client, random, 'talent', 'is_available');
  const title = `Untitled ${madeUpName(random).split(' ').at(-1)} Project`;
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO movie (title, status, genre, director_id, synopsis, note) VALUES ($1, 'pitched', $2, $3, $4, $5) RETURNING id`,
    [
      title,
      random.pick(['Drama', 'Comedy', 'Adventure', 'Horror']),
      director?.id ?? null,
      madeUpText(random, 3),
      madeUpSentence(random),
    ],
  );
  const id = rows[0]?.id;
  const credit = await change(
    client,
    "INSERT INTO credit (movie_id, talent_id, part) SELECT $1::bigint, $2::bigint, 'director' WHERE $2 IS NOT NULL",
    [id, director?.id ?? null],
  );
  return 1 + credit;
}

async function dropPitch(client: pg.ClientBase, random: Random): Promise<number> {
  const movie = await pick<{ id: string }>(
    client,
    random,
    'movie',
    "status = 'pitched' AND title LIKE 'Untitled % Project'",
  );
  const credits = await change(client, 'DELETE FROM credit WHERE movie_id = $1', [movie?.id ?? null]);
  return credits + (await change(client, 'DELETE FROM movie WHERE id = $1', [movie?.id ?? null]));
}

async function receivePayment(client: pg.ClientBase, random: Random): Promise<number> {
  const payment = await pick<{ id: string; deal_id: string }>(client, random, 'payment', 'paid_at IS NULL');
  const changes = await change(client, 'UPDATE payment SET paid_at = now(), updated_at = now() WHERE id = $1', [
    payment?.id ?? null,
  ]);
  return (
    changes + (await change(client, 'UPDATE deal SET updated_at = now() WHERE id = $1', [payment?.deal_id ?? null]))
  );
}

async function offerDeal(client: pg.ClientBase, random: Random): Promise<number> {
  const territory = random.pick(territories);
  return change(
    client,
    `INSERT INTO deal (movie_id, territory, licensee, kind, status, fee, currency, starts, ends, note)
     SELECT coalesce((SELECT movie_id FROM deal WHERE id >= (SELECT max(id) FROM deal) * $1::float8 LIMIT 1), 1),
       $2, $3, $4, 'negotiating', $5, $6, CURRENT_DATE + $7::int, CURRENT_DATE + $7::int + 730, $8`,
    [
      random.next(),
      territory.code,
      madeUpCompany(random),
      random.pick(dealKinds),
      `${random.int(50, 900_000)}.${random.int(10, 99)}`,
      territory.currency,
      random.int(10, 200),
      random.chance(0.4) ? madeUpNote(random) : null,
    ],
  );
}

async function signDeal(client: pg.ClientBase, random: Random): Promise<number> {
  const deal = await pick<{ id: string }>(client, random, 'deal', "status = 'negotiating' AND fee IS NOT NULL");
  if (deal === null) return 0;
  const raise = (random.int(95, 108) / 100).toFixed(2);
  const changes = await change(
    client,
    `UPDATE deal SET status = 'signed', fee = round(fee * $2::numeric, 2), updated_at = now() WHERE id = $1`,
    [deal.id, raise],
  );
  const payments = await change(
    client,
    `INSERT INTO payment (deal_id, amount, currency, due)
     SELECT id, CASE n WHEN 1 THEN fee - round(fee / 2, 2) ELSE round(fee / 2, 2) END, currency, CURRENT_DATE + 45 * n
     FROM deal, generate_series(1, 2) n WHERE id = $1`,
    [deal.id],
  );
  return changes + payments;
}

/** A signed deal that is over expires; now and then an offer is withdrawn with all that belongs to it. */
async function endDeal(client: pg.ClientBase, random: Random): Promise<number> {
  if (random.chance(0.5)) {
    const over = await pick<{ id: string }>(client, random, 'deal', "status = 'signed' AND ends < CURRENT_DATE + 60");
    return change(client, "UPDATE deal SET status = 'expired', updated_at = now() WHERE id = $1", [over?.id ?? null]);
  }
  const offer = await pick<{ id: string }>(client, random, 'deal', "status = 'negotiating'");
  const payments = await change(client, 'DELETE FROM payment WHERE deal_id = $1', [offer?.id ?? null]);
  return payments + (await change(client, 'DELETE FROM deal WHERE id = $1', [offer?.id ?? null]));
}
