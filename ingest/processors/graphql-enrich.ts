import { buildClientSchema, type GraphQLSchema, getIntrospectionQuery, type IntrospectionQuery } from 'graphql';
import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import { type Field, type FieldType, type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges } from '../event.ts';
import type { BoundStep, Processor, ProcessorDeps, ProcessorModule, Rejected } from '../processor.ts';
import { parsePath } from './expression/parse.ts';
import { invalid, selectFields } from './field-selection.ts';
import { AnswerCache } from './graphql/answer-cache.ts';
import { type Answer, lookUp } from './graphql/answer-lookup.ts';
import { GraphClient } from './graphql/graph-client.ts';
import { parseQuery, planQuery, type QueryPlan, refused } from './graphql/query-plan.ts';
import { readMissingValues } from './read-missing-values.ts';

const config = z.strictObject({
  endpoint: z
    .string()
    .min(1)
    .meta({
      title: 'Endpoint',
      description: 'HTTP address of the GraphQL service.',
      examples: ['http://localhost:4000/graphql'],
    }),
  query: z
    .string()
    .min(1)
    .meta({
      title: 'Query',
      description: 'Looks objects up by a list of ids. The types of its answer come from the schema of the graph.',
      examples: ['query ($ids: [ID!]!) { movies(ids: $ids) { id director { name } } }'],
    }),
  match: z
    .record(z.string(), z.string())
    .refine((match) => Object.keys(match).length === 1, 'names exactly one variable of the query')
    .meta({
      title: 'Match',
      description: "The query's list variable, and the field of the event whose values it gets.",
      examples: [{ ids: 'id' }],
    }),
  by: z.string().default('id').meta({
    title: 'Answer id',
    description: 'Field of the answer that holds the id which was asked for.',
  }),
  into: z
    .string()
    .min(1)
    .meta({
      title: 'Into',
      description: "Name of the struct that the answer's fields land in.",
      examples: ['edge'],
    }),
  headers: z
    .record(z.string(), z.string().meta({ secret: true }))
    .default({})
    .meta({
      title: 'Headers',
      description: 'Sent with each request, such as Authorization.',
      secret: true,
    }),
  timeoutMs: z.int().min(1).max(600_000).default(10_000).meta({ title: 'Time-out', unit: 'ms' }),
  maxBatch: z.int().min(1).max(10_000).default(100).meta({ title: 'Ids in a request', unit: 'ids' }),
  retries: z.int().min(0).max(20).default(4).meta({
    title: 'Retries',
    description:
      'Tries after the first, with growing pauses. After them the pipeline waits and begins the batch again.',
  }),
  onMissing: z.enum(['dead-letter', 'pass']).default('dead-letter').meta({
    title: 'Without an answer',
    description: 'Whether a row that the graph does not know goes to the dead letters, or on with an empty answer.',
  }),
  cacheSeconds: z.number().min(0).max(86_400).default(5).meta({
    title: 'Cache',
    unit: 's',
    description: "How old an answer may be. A row's own entity is always asked anew when the row changes.",
  }),
});
type Config = z.infer<typeof config>;

export const graphqlEnrich: ProcessorModule<typeof config> = {
  kind: 'processor',
  id: 'graphql-enrich',
  title: 'GraphQL enrichment',
  summary: 'Asks a GraphQL service about each row that changed, and adds the answer to it.',
  config,
  example: {
    endpoint: 'http://localhost:4000/graphql',
    query: 'query ($ids: [ID!]!) { movies(ids: $ids) { id director { name } countries } }',
    match: { ids: 'id' },
    into: 'edge',
  },
  open: (settings, deps) => new GraphqlEnrich(settings, deps),
};

class GraphqlEnrich implements Processor {
  readonly #settings: Config;
  readonly #deps: ProcessorDeps;
  readonly #client: GraphClient;
  readonly #closing = new AbortController();
  #schema: Promise<GraphQLSchema> | null = null;

  constructor(settings: Config, deps: ProcessorDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#client = new GraphClient({ ...settings, fetch: deps.fetch });
  }

  async bind(input: Schema, signal: AbortSignal): Promise<BoundStep> {
    const { query, by, into } = this.#settings;
    const [variable = '', path = ''] = Object.entries(this.#settings.match)[0] ?? [];
    const document = parseQuery(query);
    const match = findMatch(input, path);
    if (input.fields.some(({ name }) => name === into))
      throw invalid(`There is a field "${into}" already: let the answer of graphql-enrich go into another name.`);
    const plan = planQuery(document, await this.#introspect(signal), variable, by);
    const field: Field = { name: into, type: plan.type, required: false, origin: { kind: 'graph', path: [plan.root] } };
    const output: Schema = { fields: [...input.fields, field], key: input.key };
    const step = new EnrichStep({
      settings: this.#settings,
      deps: this.#deps,
      client: this.#client,
      plan,
      variable,
      match,
      output,
    });
    return {
      output,
      consumes: [{ path, required: true }],
      apply: (changes, applySignal) => step.apply(changes, AbortSignal.any([applySignal, this.#closing.signal])),
    };
  }

  /** Once for all tables and shapes; again where it failed. */
  async #introspect(signal: AbortSignal): Promise<GraphQLSchema> {
    this.#schema ??= this.#client.ask(getIntrospectionQuery({ descriptions: true }), {}, signal).then(({ data }) => {
      try {
        return buildClientSchema(data as unknown as IntrospectionQuery);
      } catch (cause) {
        throw refused(`The graph at ${this.#client.name} does not tell its schema: ${(cause as Error).message}`);
      }
    });
    try {
      return await this.#schema;
    } catch (error) {
      this.#schema = null;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new DailiesError('cancelled', 'The step is closed.'));
  }
}

interface Match {
  path: string;
  /** Top-level field that holds it. */
  index: number;
  take(row: Row): Value | typeof UNKNOWN;
  /** True where it is the table's own key, so that its entity is the one that just changed. */
  isOwnKey: boolean;
}

function findMatch(input: Schema, path: string): Match {
  const from = parsePath(path);
  const [selected] = selectFields(input, [{ from, to: ['match'] }], 'The input of graphql-enrich');
  if (selected === undefined) throw invalid('graphql-enrich matches no field.');
  const { index, field, take } = selected;
  if (!isIdType(field.type))
    throw new DailiesError(
      'schema_incompatible',
      `graphql-enrich cannot match by "${path}": an id is a whole number, a text or a uuid.`,
      {
        details: { field: path },
      },
    );
  const isOwnKey = from.length === 1 && input.key.length === 1 && input.key[0] === from[0];
  return { path, index, take: (row) => take(row[index] ?? null), isOwnKey };
}

function isIdType(type: FieldType): boolean {
  return ['int', 'long', 'string', 'uuid'].includes(type.kind) || (type.kind === 'decimal' && type.scale === 0);
}

interface EnrichDeps {
  settings: Config;
  deps: ProcessorDeps;
  client: GraphClient;
  plan: QueryPlan;
  variable: string;
  match: Match;
  output: Schema;
}

class EnrichStep {
  readonly #bound: EnrichDeps;
  readonly #cache: AnswerCache<Answer>;

  constructor(bound: EnrichDeps) {
    this.#bound = bound;
    this.#cache = new AnswerCache(bound.match.isOwnKey ? 0 : bound.settings.cacheSeconds * 1000);
  }

  async apply(changes: TableChanges, signal: AbortSignal): Promise<{ changes: TableChanges; rejected: Rejected[] }> {
    const { match, deps, output } = this.#bound;
    const lacking = changes.events.flatMap(({ after }, index) => (after?.[match.index] === UNKNOWN ? [index] : []));
    const filled = await readMissingValues(changes, lacking, deps, signal);
    const ids = changes.events.map(({ after }, index) => idOf(match, filled.get(index) ?? after));
    const answers = await this.#answers(new Set(ids.filter((id) => id !== null)), signal);

    const events: ChangeEvent[] = [];
    const rejected: Rejected[] = [];
    for (const [index, event] of changes.events.entries()) {
      const result = this.#enrich(event, filled.get(index) ?? event.after, ids[index] ?? null, answers);
      if (result instanceof DailiesError) rejected.push({ event, error: result.toJSON() });
      else events.push(result);
    }
    return { changes: { ...changes, schema: output, events }, rejected };
  }

  #enrich(
    event: ChangeEvent,
    after: Row | null,
    id: string | null,
    answers: ReadonlyMap<string, Answer>,
  ): ChangeEvent | DailiesError {
    const before: Row | null = event.before === null ? null : [...event.before, UNKNOWN];
    if (after === null) return { ...event, before };
    const answer = id === null ? null : answers.get(id);
    if (answer === null || answer === undefined) return { ...event, before, after: [...after, null] };
    switch (answer.kind) {
      case 'found':
        return { ...event, before, after: [...after, answer.value] };
      case 'failed':
        return new DailiesError('graphql_no_answer', answer.reason);
      case 'missing': {
        if (this.#bound.settings.onMissing === 'pass') return { ...event, before, after: [...after, null] };
        const { plan, match } = this.#bound;
        return new DailiesError('graphql_no_answer', `The graph has no "${plan.root}" for this row's "${match.path}".`);
      }
      default:
        return answer satisfies never;
    }
  }

  async #answers(ids: ReadonlySet<string>, signal: AbortSignal): Promise<Map<string, Answer>> {
    const { settings, client, plan, variable, deps } = this.#bound;
    const answers = new Map<string, Answer>();
    const startedMs = deps.now().getTime();
    const unknown: string[] = [];
    for (const id of ids) {
      const cached = this.#cache.get(id, startedMs);
      if (cached !== undefined) answers.set(id, cached);
      else if (plan.takesNumbers && !isInt32(id))
        answers.set(id, { kind: 'failed', reason: 'The graph takes no id beyond 32 bits.' });
      else unknown.push(id);
    }
    if (unknown.length === 0) return answers;
    for (const [id, answer] of await lookUp(unknown, { ...settings, client, plan, variable }, signal)) {
      answers.set(id, answer);
      if (answer.kind === 'found') this.#cache.set(id, answer, startedMs);
    }
    return answers;
  }
}

/** The id as the graph writes it; null for NULL, which asks for nothing. */
function idOf(match: Match, row: Row | null): string | null {
  if (row === null) return null;
  const value = match.take(row);
  return value === null || value === UNKNOWN ? null : String(value);
}

function isInt32(id: string): boolean {
  return /^-?\d{1,10}$/.test(id) && Number(id) === (Number(id) | 0);
}
