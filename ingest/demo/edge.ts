import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSchema, createYoga } from 'graphql-yoga';
import pg from 'pg';
import { BatchLoader } from './batch-loader.ts';
import { edgeTypes } from './edge-types.ts';

export interface Edge {
  url: string;
  close(): Promise<void>;
}

/** A row as the databases write it: every value as text or NULL, arrays as JSON. */
type TextRow = Record<string, string | null>;

interface Context {
  movies: BatchLoader<TextRow>;
  talents: BatchLoader<TextRow>;
  deals: BatchLoader<TextRow>;
  territories: BatchLoader<TextRow>;
  credits: BatchLoader<TextRow[]>;
  talentCredits: BatchLoader<TextRow[]>;
  movieDeals: BatchLoader<TextRow[]>;
  payments: BatchLoader<TextRow[]>;
  nextShootingDays: BatchLoader<TextRow[]>;
}

/**
 * Studio Edge: one graph over the studio's services, each level of a query one statement per table. Listens on `port` of
 * 127.0.0.1, 0 for any free one.
 */
export async function startEdge(databases: { production: string; deals: string }, port = 0): Promise<Edge> {
  const production = openPool(databases.production);
  const deals = openPool(databases.deals);
  const yoga = createYoga<object, Context>({
    schema: createSchema<Context>({ typeDefs: edgeTypes, resolvers }),
    graphqlEndpoint: '/graphql',
    landingPage: false,
    logging: 'error',
    context: () => openLoaders(production, deals),
  });
  const server = createServer(yoga);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await Promise.all([production.end(), deals.end()]);
    },
  };
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 4, types: { getTypeParser: () => (text: unknown) => text } });
  // An idle connection that breaks is replaced at its next use, whose own failure the asker is told.
  pool.on('error', () => undefined);
  return pool;
}

const timestamp = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

function openLoaders(production: pg.Pool, deals: pg.Pool): Context {
  const one = (pool: pg.Pool, sql: string, key = 'id') =>
    new BatchLoader<TextRow>(async (ids) => {
      const { rows } = await pool.query<TextRow>(sql, [ids]);
      return new Map(rows.map((row) => [row[key] ?? '', row]));
    });
  const many = (pool: pg.Pool, key: string, sql: string) =>
    new BatchLoader<TextRow[]>(async (ids) => {
      const { rows } = await pool.query<TextRow>(sql, [ids]);
      const groups = new Map<string, TextRow[]>(ids.map((id) => [id, []]));
      for (const row of rows) groups.get(row[key] ?? '')?.push(row);
      return groups;
    });
  const deal = `SELECT *, ${timestamp('updated_at')} AS updated FROM deal`;
  return {
    movies: one(
      production,
      `SELECT *, to_jsonb(countries) AS country_list, ${timestamp('updated_at')} AS updated FROM movie WHERE id = ANY($1::bigint[])`,
    ),
    talents: one(production, 'SELECT * FROM talent WHERE id = ANY($1::bigint[])'),
    deals: one(deals, `${deal} WHERE id = ANY($1::bigint[])`),
    territories: one(deals, 'SELECT * FROM territory WHERE code = ANY($1::text[])', 'code'),
    credits: many(
      production,
      'movie_id',
      'SELECT * FROM credit WHERE movie_id = ANY($1::bigint[]) ORDER BY billing NULLS FIRST, id',
    ),
    talentCredits: many(
      production,
      'talent_id',
      'SELECT * FROM credit WHERE talent_id = ANY($1::bigint[]) ORDER BY id',
    ),
    movieDeals: many(deals, 'movie_id', `${deal} WHERE movie_id = ANY($1::bigint[]) ORDER BY id`),
    payments: many(
      deals,
      'deal_id',
      `SELECT *, ${timestamp('paid_at')} AS paid FROM payment WHERE deal_id = ANY($1::bigint[]) ORDER BY due, id`,
    ),
    nextShootingDays: many(
      production,
      'movie_id',
      `SELECT DISTINCT ON (d.movie_id) d.*, l.name AS location FROM shooting_day d LEFT JOIN location l ON l.id = d.location_id
       WHERE d.movie_id = ANY($1::bigint[]) AND d.status = 'planned' AND d.day >= CURRENT_DATE ORDER BY d.movie_id, d.day, d.id`,
    ),
  };
}

/** Answers in the order of the ids; null for one that nobody knows. */
function byIds(pick: (context: Context) => BatchLoader<TextRow>) {
  return (_: unknown, { ids }: { ids: readonly string[] }, context: Context) =>
    ids.map((id) => (isBigint(id) ? pick(context).load(id) : null));
}

function isBigint(id: string): boolean {
  return /^-?\d{1,19}$/.test(id) && BigInt.asIntN(64, BigInt(id)) === BigInt(id) && String(BigInt(id)) === id;
}

const integer = (column: string) => (row: TextRow) => (row[column] == null ? null : Number(row[column]));
const text = (column: string) => (row: TextRow) => row[column] ?? null;
const reference =
  (column: string, pick: (context: Context) => BatchLoader<TextRow>) => (row: TextRow, _: unknown, context: Context) =>
    row[column] == null ? null : pick(context).load(row[column]);
const list =
  (pick: (context: Context) => BatchLoader<TextRow[]>) => async (row: TextRow, _: unknown, context: Context) =>
    (await pick(context).load(row.id ?? '')) ?? [];

const resolvers = {
  Query: {
    movies: byIds((context) => context.movies),
    talents: byIds((context) => context.talents),
    deals: byIds((context) => context.deals),
  },
  Movie: {
    runtimeMinutes: integer('runtime_minutes'),
    countries: (row: TextRow) => JSON.parse(row.country_list ?? '[]'),
    basedOn: text('based_on'),
    plannedRelease: text('planned_release'),
    updatedAt: text('updated'),
    director: reference('director_id', (context) => context.talents),
    credits: list((context) => context.credits),
    deals: list((context) => context.movieDeals),
    nextShootingDay: async (row: TextRow, _: unknown, context: Context) =>
      (await context.nextShootingDays.load(row.id ?? ''))?.[0] ?? null,
  },
  Talent: {
    isAvailable: (row: TextRow) => (row.is_available == null ? null : row.is_available === 't'),
    credits: list((context) => context.talentCredits),
  },
  Credit: {
    characterName: text('character_name'),
    billing: integer('billing'),
    talent: reference('talent_id', (context) => context.talents),
    movie: reference('movie_id', (context) => context.movies),
  },
  ShootingDay: { callTime: text('call_time'), scenes: integer('scenes') },
  Deal: {
    movie: reference('movie_id', (context) => context.movies),
    territory: reference('territory', (context) => context.territories),
    payments: list((context) => context.payments),
    updatedAt: text('updated'),
  },
  Payment: { paidAt: text('paid') },
};
