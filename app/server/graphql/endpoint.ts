import { GraphQLError } from 'graphql';
import { createSchema, createYoga } from 'graphql-yoga';
import { DailiesError } from '#catalog/error.ts';
import type { Caller } from '../caller.ts';
import { presentable, statusOf } from '../problem.ts';
import type { ServerDeps } from '../server-deps.ts';
import { type GraphContext, resolvers } from './resolvers.ts';
import { federationTypeDefs, typeDefs } from './type-defs.ts';

/** Queries that one request of the graph may have running. */
const samplesAtOnce = 3;

export type GraphEndpoint = (request: Request, caller: Caller) => Promise<Response>;

/** `/api/graphql`: the catalog's graph. Its own pages load nothing from outside, so there is no playground. */
export function createGraphEndpoint(deps: ServerDeps): GraphEndpoint {
  const present = (thrown: unknown) => presentable(thrown, (error) => deps.report(`graphql: ${describe(error)}`));
  const yoga = createYoga<GraphContext>({
    schema: createSchema({ typeDefs: [typeDefs, federationTypeDefs], resolvers: resolvers as never }),
    graphqlEndpoint: '/api/graphql',
    graphiql: false,
    landingPage: false,
    logging: false,
    maskedErrors: {
      maskError(error) {
        const original = error instanceof GraphQLError ? error.originalError : error;
        // The query's own mistakes have no cause and are told as they are.
        if (error instanceof GraphQLError && original === undefined) return error;
        const { code, message } = present(original);
        const place = error instanceof GraphQLError ? { nodes: error.nodes ?? null, path: error.path ?? null } : {};
        return new GraphQLError(message, { ...place, extensions: { code } });
      },
    },
  });
  return async (request, { who }) => {
    if (who === null)
      return graphError(
        new DailiesError('unauthenticated', 'You are not signed in. Send an API token as Authorization: Bearer …'),
        deps,
      );
    const known = new Map<string, Promise<unknown>>();
    const turns: Promise<unknown>[] = Array.from({ length: samplesAtOnce }, () => Promise.resolve());
    let nextTurn = 0;
    return yoga.fetch(request, {
      state: deps.state,
      who,
      queries: deps.queries,
      index: deps.index,
      signal: AbortSignal.any([request.signal, deps.closing]),
      once: <T>(key: string, load: () => Promise<T>) => {
        const promise = (known.get(key) as Promise<T> | undefined) ?? load();
        known.set(key, promise);
        return promise;
      },
      inTurn: <T>(work: () => Promise<T>) => {
        const turn = nextTurn++ % samplesAtOnce;
        const next = (turns[turn] ?? Promise.resolve()).then(work, work);
        turns[turn] = next;
        return next;
      },
    });
  };
}

/** A refusal before the query is looked at, in the protocol's form. */
export function graphError(thrown: unknown, deps: Pick<ServerDeps, 'report'>): Response {
  const { code, message } = presentable(thrown, (error) => deps.report(`graphql: ${describe(error)}`));
  return Response.json({ errors: [{ message, extensions: { code } }] }, { status: statusOf(code) });
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
