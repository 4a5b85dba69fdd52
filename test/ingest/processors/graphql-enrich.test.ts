import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { ChangeEvent } from '#ingest/event.ts';
import { graphqlEnrich } from '#ingest/processors/graphql-enrich.ts';
import { type GraphServer, startGraph } from './graph-server.ts';
import { change, movieSchema, never, sourceOf, tableChanges } from './table-changes.ts';

const query = 'query ($ids: [ID!]!) { movies(ids: $ids) { id title } }';
const withBudget = 'query ($ids: [ID!]!) { movies(ids: $ids) { id budget } }';
const creditSchema: Schema = {
  key: ['id'],
  fields: [
    { name: 'id', required: true, type: { kind: 'long' } },
    { name: 'movie_id', required: false, type: { kind: 'long' } },
  ],
};

let graph: GraphServer;
beforeEach(async () => {
  graph = await startGraph();
});
afterEach(() => graph.stop());

type Settings = Partial<Parameters<typeof graphqlEnrich.config.parse>[0] & object>;

function open(settings: Settings = {}, fetch = globalThis.fetch) {
  const config = graphqlEnrich.config.parse({
    endpoint: graph.url,
    query,
    match: { ids: 'id' },
    into: 'edge',
    retries: 2,
    // For those that are to meet one: no machine is as slow as that.
    timeoutMs: 120_000,
    ...settings,
  });
  return graphqlEnrich.open(config, { ...sourceOf(movieSchema, []).deps, fetch });
}

function movie(id: bigint): Row {
  return [id, 'A', 'post', 'long'];
}

function created(...ids: bigint[]): ChangeEvent[] {
  return ids.map((id) => change('c', null, movie(id)));
}

/** What each event's answer struct is, in order, and why events were rejected. */
async function run(events: ChangeEvent[], settings: Settings = {}, schema: Schema = movieSchema) {
  const bound = await open(settings).bind(schema, never);
  const { changes, rejected } = await bound.apply(tableChanges(events, schema), never);
  return {
    events: changes.events,
    answers: changes.events.map(({ after }) => after?.at(-1)),
    rejected: rejected.map(({ event, error }) => ({ id: event.after?.[0], ...error })),
  };
}

describe('types come from the query and the graph', () => {
  test('every kind of field, aliases and fragments included', async () => {
    const bound = await open({
      query: `query Enrich($ids: [ID!]!, $shout: Boolean = false) {
        movies(ids: $ids, shout: $shout) { id ...rest name: title director { id name ... on Director { awards } } }
      }
      fragment rest on Movie { number length isOpen mood released updatedAt extra countries }`,
    }).bind(movieSchema, never);
    const { changes } = await bound.apply(tableChanges(created(7n)), never);
    const edge = bound.output.fields.at(-1);
    expect(edge).toMatchObject({ name: 'edge', required: false, origin: { kind: 'graph', path: ['movies'] } });
    const fields = edge?.type.kind === 'struct' ? edge.type.fields : [];
    expect(fields.map(({ name, type }) => [name, type.kind])).toEqual([
      ['number', 'int'],
      ['length', 'double'],
      ['isOpen', 'boolean'],
      ['mood', 'string'],
      ['released', 'date'],
      ['updatedAt', 'timestamptz'],
      ['extra', 'string'],
      ['countries', 'list'],
      ['name', 'string'],
      ['director', 'struct'],
    ]);
    expect(fields.every(({ required }) => !required)).toBe(true);
    expect(changes.events[0]?.after?.at(-1)).toEqual([
      7,
      7.5,
      true,
      'GRIM',
      20_484,
      1_769_884_200_000_001n,
      '{"big":1,"list":["x"]}',
      ['US', 'FR'],
      'Movie 7',
      ['9', 'Zenobia Zigzag', 3],
    ]);
    expect(bound.consumes).toEqual([{ path: 'id', required: true }]);
  });

  const refusals: [string, Settings, string, RegExp][] = [
    [
      'a field that is not there',
      { query: 'query ($ids: [ID!]!) {\n movies(ids: $ids) { id titel } }' },
      'graphql_refused',
      /"titel".*"title".*line 2, column 25/,
    ],
    ['no GraphQL', { query: 'query {' }, 'graphql_refused', /not GraphQL.*line 1/],
    ['no such variable', { match: { nos: 'id' } }, 'graphql_refused', /no variable \$nos/],
    [
      'no list',
      { query: 'query ($id: ID!) { one(id: $id) { id title } }', match: { id: 'id' } },
      'graphql_refused',
      /list of ids/,
    ],
    [
      'no id in the answer',
      { query: 'query ($ids: [ID!]!) { movies(ids: $ids) { title } }' },
      'graphql_refused',
      /for its "id"/,
    ],
    [
      'another variable without value',
      { query: 'query ($ids: [ID!]!, $shout: Boolean!) { movies(ids: $ids, shout: $shout) { id title } }' },
      'graphql_refused',
      /\$shout/,
    ],
    ['a field of this name', { into: 'title' }, 'definition_invalid', /"title" already/],
    ['no such event field', { match: { ids: 'ids' } }, 'schema_incompatible', /no field "ids"/],
    ['credentials in the address', { endpoint: 'http://me:secret@localhost:1' }, 'definition_invalid', /in headers/],
    ['no address', { endpoint: 'localhost:4000' }, 'definition_invalid', /http:\/\//],
  ];
  test.each(refusals)('refused: %s', async (_, settings, code, message) => {
    await expect((async () => open(settings).bind(movieSchema, never))()).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

describe('rows and answers', () => {
  test('ids are asked for once a batch, in requests of maxBatch, and order is kept', async () => {
    const ids = Array.from({ length: 25 }, (_, index) => BigInt(index % 10));
    const { answers } = await run(created(...ids), { maxBatch: 4, match: { ids: 'id' } });
    expect(answers).toEqual(ids.map((id) => [`Movie ${id}`]));
    expect(graph.requests.map((asked) => asked.length).sort()).toEqual([2, 4, 4]);
    expect(graph.requests.flat().sort()).toEqual(Array.from({ length: 10 }, (_, id) => String(id)));
  });

  test('deletes and truncates pass without being asked for; an old row has no answer', async () => {
    const events = [change('d', movie(1n), null), change('t', null, null), change('u', movie(2n), movie(2n))];
    const { events: passed } = await run(events);
    expect(passed).toEqual([
      change('d', [...movie(1n), UNKNOWN], null),
      change('t', null, null),
      change('u', [...movie(2n), UNKNOWN], [...movie(2n), ['Movie 2']]),
    ]);
    expect(graph.requests).toEqual([['2']]);
  });

  test('a row without an answer is rejected with its reason, or passes empty if the pipeline says so', async () => {
    graph.unknown.add('2');
    const { answers, rejected } = await run(created(1n, 2n, 3n));
    expect(answers).toEqual([['Movie 1'], ['Movie 3']]);
    expect(rejected).toEqual([
      { id: 2n, code: 'graphql_no_answer', message: expect.stringContaining('no "movies"'), details: {} },
    ]);
    const passing = await run(created(1n, 2n), { onMissing: 'pass' });
    expect(passing).toMatchObject({ answers: [['Movie 1'], null], rejected: [] });
  });

  test('an empty foreign key asks for nothing', async () => {
    const { answers } = await run([change('c', null, [1n, null])], { match: { ids: 'movie_id' } }, creditSchema);
    expect(answers).toEqual([null]);
    expect(graph.requests).toEqual([]);
  });

  test('numbers go to Int variables, and another field may hold the id', async () => {
    const settings = {
      query: 'query ($numbers: [Int!]!) { byNumber(numbers: $numbers) { number title } }',
      match: { numbers: 'id' },
      by: 'number',
    };
    const { answers, rejected } = await run(created(5n, 5_000_000_000n), settings);
    expect(answers).toEqual([['Movie 5']]);
    expect(rejected).toMatchObject([{ id: 5_000_000_000n, code: 'graphql_no_answer' }]);
  });

  test('headers are sent', async () => {
    await run(created(1n), { headers: { authorization: 'Bearer x' } });
    expect(graph.headers.authorization).toBe('Bearer x');
  });
});

describe('freshness', () => {
  test("a row's own entity is asked anew for every change", async () => {
    const bound = await open({ cacheSeconds: 3_600 }).bind(movieSchema, never);
    await bound.apply(tableChanges(created(1n)), never);
    await bound.apply(tableChanges(created(1n)), never);
    expect(graph.requests).toEqual([['1'], ['1']]);
  });

  test("another entity's answer is used again while it is young", async () => {
    const credits = [change('c', null, [1n, 7n])];
    const asked = async (cacheSeconds: number) => {
      graph.requests.length = 0;
      const bound = await open({ match: { ids: 'movie_id' }, cacheSeconds }).bind(creditSchema, never);
      for (let turn = 0; turn < 2; turn++) await bound.apply(tableChanges(credits, creditSchema), never);
      return graph.requests.length;
    };
    expect(await asked(3_600)).toBe(1);
    expect(await asked(0)).toBe(2);
  });
});

describe('a graph in trouble', () => {
  test('answering in part: only the failing rows are rejected, after being asked again', async () => {
    graph.failing.add('2').add('slot 4');
    const { answers, rejected } = await run(created(1n, 2n, 3n, 4n), { query: withBudget });
    expect(answers).toEqual([[5], [5]]);
    expect(rejected).toMatchObject([
      {
        id: 2n,
        code: 'graphql_no_answer',
        message: expect.stringMatching(/at movies\.budget: budget is locked \(LOCKED\)/),
      },
      { id: 4n, code: 'graphql_no_answer' },
    ]);
    expect(graph.requests).toEqual([
      ['1', '2', '3', '4'],
      ['2', '4'],
      ['2', '4'],
    ]);
  });

  test('one row that takes the whole answer with it is found', async () => {
    await graph.stop();
    graph = await startGraph('[Movie!]!');
    graph.unknown.add('6');
    const ids = Array.from({ length: 8 }, (_, index) => BigInt(index + 1));
    const { answers, rejected } = await run(created(...ids), { retries: 0 });
    expect(answers).toHaveLength(7);
    expect(rejected).toMatchObject([{ id: 6n, code: 'graphql_no_answer' }]);
  });

  test('failing for a while: the batch waits and goes through', async () => {
    let tries = 0;
    const bound = await open().bind(movieSchema, never);
    graph.outage = (_, response) => {
      tries++;
      if (tries === 2) graph.outage = null;
      response.writeHead(503).end();
    };
    const { changes } = await bound.apply(tableChanges(created(1n)), never);
    expect(changes.events).toHaveLength(1);
    expect(tries).toBe(2);
  });

  test('failing as a whole: the step throws and rejects nothing', async () => {
    graph.before = () => {
      throw new Error('database is away');
    };
    const bound = await open().bind(movieSchema, never);
    await expect(bound.apply(tableChanges(created(1n, 2n)), never)).rejects.toMatchObject({
      code: 'graphql_unreachable',
    });
    expect(graph.requests).toHaveLength(3);
  });

  test('down, then restarted', async () => {
    const bound = await open({ retries: 1 }).bind(movieSchema, never);
    await graph.stop();
    await expect(bound.apply(tableChanges(created(1n)), never)).rejects.toMatchObject({
      code: 'graphql_unreachable',
      message: expect.stringMatching(/ECONNREFUSED \(2 tries\)/),
    });
    await graph.start();
    expect((await bound.apply(tableChanges(created(1n)), never)).changes.events).toHaveLength(1);
  });

  test('down when the step is bound', async () => {
    const step = open({ retries: 0 });
    await graph.stop();
    await expect(step.bind(movieSchema, never)).rejects.toMatchObject({ code: 'graphql_unreachable' });
    await graph.start();
    expect((await step.bind(movieSchema, never)).output.fields).toHaveLength(5);
  });

  test('slow: at most four requests at a time', async () => {
    let running = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    graph.before = async () => {
      most = Math.max(most, ++running);
      // None is answered before four are there, nor for a while in which a fifth would come.
      if (running === 4) setTimeout(gate.resolve, 100);
      await gate.promise;
      running--;
    };
    const ids = Array.from({ length: 40 }, (_, index) => BigInt(index));
    expect((await run(created(...ids), { maxBatch: 2 })).answers).toHaveLength(40);
    expect(most).toBe(4);
  });

  test('silent: time-out, then an error that says so', async () => {
    let isBound = false;
    // The schema of the graph may take its time: it is the rows that are to wait in vain.
    const step = open({ timeoutMs: 300, retries: 1 }, (url, init) =>
      fetch(url, isBound ? init : { ...init, signal: null }),
    );
    const bound = await step.bind(movieSchema, never);
    isBound = true;
    graph.before = () => new Promise(() => undefined);
    await expect(bound.apply(tableChanges(created(1n)), never)).rejects.toMatchObject({
      code: 'graphql_unreachable',
      message: expect.stringMatching(/no answer within 300 ms \(2 tries\)/),
    });
  });

  test('no access is refused, without asking again', async () => {
    const bound = await open().bind(movieSchema, never);
    let tries = 0;
    graph.outage = (_, response) => {
      tries++;
      response.writeHead(401).end();
    };
    await expect(bound.apply(tableChanges(created(1n)), never)).rejects.toMatchObject({ code: 'graphql_refused' });
    expect(tries).toBe(1);
  });

  test('an abort ends the waiting', async () => {
    graph.before = () => new Promise(() => undefined);
    const bound = await open().bind(movieSchema, never);
    const stopping = new AbortController();
    const applied = bound.apply(tableChanges(created(1n)), stopping.signal);
    stopping.abort(new Error('stopped'));
    await expect(applied).rejects.toThrow('stopped');
  });
});
