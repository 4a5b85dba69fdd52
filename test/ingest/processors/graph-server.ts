import { createServer, type RequestListener } from 'node:http';
import { createGraphQLError, createSchema, createYoga } from 'graphql-yoga';
import { freePort } from '#catalog/state/embedded-postgres.ts';

export interface GraphServer {
  url: string;
  /** The ids of each look-up so far. */
  requests: string[][];
  /** What the next look-ups do before they answer; the server's own answer if it returns. */
  before: (ids: readonly string[]) => Promise<void> | void;
  /** Ids whose answer fails, and ids that are not known. */
  failing: Set<string>;
  unknown: Set<string>;
  /** Answered instead of GraphQL while set. */
  outage: RequestListener | null;
  headers: Record<string, unknown>;
  stop(): Promise<void>;
  /** Listens again on the same port. */
  start(): Promise<void>;
}

const typeDefs = (item: string) => /* GraphQL */ `
  scalar Date
  scalar DateTime
  scalar Anything
  enum Mood { GRIM BRIGHT }
  interface Person { id: ID! name: String }
  type Director implements Person { id: ID! name: String awards: Int! }
  type Stranger implements Person { id: ID! name: String }
  type Movie {
    id: ID! number: Int! title: String! length: Float isOpen: Boolean mood: Mood
    released: Date updatedAt: DateTime extra: Anything countries: [String!]! director: Person budget: Int
  }
  type Query { movies(ids: [ID!]!, shout: Boolean): ${item} byNumber(numbers: [Int!]!): [Movie]! one(id: ID!): Movie }
`;

/** A real GraphQL server whose movies are made from their ids. `item` is the type of its list. */
export async function startGraph(item = '[Movie]!'): Promise<GraphServer> {
  const movie = (id: string) => ({
    id,
    number: Number(id),
    title: `Movie ${id}`,
    length: Number(id) + 0.5,
    isOpen: true,
    mood: 'GRIM',
    released: '2026-01-31',
    updatedAt: '2026-01-31T18:30:00.000001Z',
    extra: { big: 1, list: ['x'] },
    countries: ['US', 'FR'],
    director: { __typename: 'Director', id: '9', name: 'Zenobia Zigzag', awards: 3 },
    budget: () => {
      if (graph.failing.has(id)) throw createGraphQLError('budget is locked', { extensions: { code: 'LOCKED' } });
      return 5;
    },
  });
  const lookUp = async (ids: readonly string[]) => {
    graph.requests.push([...ids]);
    await graph.before(ids);
    return ids.map((id) =>
      graph.unknown.has(id) ? null : graph.failing.has(`slot ${id}`) ? new Error('slot') : movie(id),
    );
  };
  const yoga = createYoga({
    graphqlEndpoint: '/graphql',
    logging: false,
    schema: createSchema({
      typeDefs: typeDefs(item),
      resolvers: {
        Query: {
          movies: (_: unknown, { ids }: { ids: string[] }) => lookUp(ids),
          byNumber: (_: unknown, { numbers }: { numbers: number[] }) => lookUp(numbers.map(String)),
        },
        Person: { __resolveType: ({ __typename }: { __typename: string }) => __typename },
      },
    }),
  });
  const listener: RequestListener = (request, response) => {
    graph.headers = request.headers;
    if (graph.outage === null) yoga(request, response);
    else graph.outage(request, response);
  };
  let server = createServer(listener);
  const port = await freePort();
  const graph: GraphServer = {
    url: '',
    requests: [],
    before: () => undefined,
    failing: new Set(),
    unknown: new Set(),
    outage: null,
    headers: {},
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    start: async () => {
      server = createServer(listener);
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', resolve);
      });
      graph.url = `http://127.0.0.1:${port}/graphql`;
    },
  };
  await graph.start();
  return graph;
}
