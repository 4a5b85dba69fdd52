import type { Value } from '#catalog/schemas/schema.ts';
import { AnswerError } from './answer-shape.ts';
import type { GraphClient, GraphError, GraphReply } from './graph-client.ts';
import type { QueryPlan } from './query-plan.ts';

/** What the graph had to say of one id. `failed` carries its reason, in the graph's words. */
export type Answer = { kind: 'found'; value: Value } | { kind: 'missing' } | { kind: 'failed'; reason: string };

export interface LookupOptions {
  client: GraphClient;
  plan: QueryPlan;
  query: string;
  variable: string;
  by: string;
  maxBatch: number;
  retries: number;
}

const maxConcurrentRequests = 4;

/**
 * Asks the graph for these distinct ids, `maxBatch` a request, a few requests at a time. Ids whose answers failed are
 * asked again by themselves; those that still fail are `failed`. Throws `graphql_unreachable` or `graphql_refused` where
 * nothing can be said of any id.
 */
export async function lookUp(
  ids: readonly string[],
  options: LookupOptions,
  signal: AbortSignal,
): Promise<Map<string, Answer>> {
  const answers = new Map<string, Answer>();
  let wanted = ids;
  for (let attempt = 1; ; attempt++) {
    for (const [id, answer] of await askAll(wanted, options, signal)) answers.set(id, answer);
    wanted = wanted.filter((id) => answers.get(id)?.kind === 'failed');
    if (wanted.length === 0 || attempt > options.retries) return answers;
    await options.client.pause(attempt, signal);
  }
}

async function askAll(
  ids: readonly string[],
  options: LookupOptions,
  signal: AbortSignal,
): Promise<Map<string, Answer>> {
  const answers = new Map<string, Answer>();
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  let next = 0;
  const worker = async () => {
    while (next < ids.length) {
      const part = ids.slice(next, next + options.maxBatch);
      next += part.length;
      for (const [id, answer] of await ask(part, options, either)) answers.set(id, answer);
    }
  };
  const workers = Array.from({ length: maxConcurrentRequests }, async () => {
    try {
      await worker();
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  });
  const settled = await Promise.allSettled(workers);
  signal.throwIfAborted();
  if (failure.signal.aborted) throw failure.signal.reason;
  for (const result of settled) if (result.status === 'rejected') throw result.reason;
  return answers;
}

async function ask(ids: readonly string[], options: LookupOptions, signal: AbortSignal): Promise<Map<string, Answer>> {
  const { client, plan, query, variable, by } = options;
  const values = plan.takesNumbers ? ids.map(Number) : ids;
  const isAnswered = (reply: GraphReply) => hasRoot(reply, plan.root) || blames(reply, plan.root);
  const reply = await client.ask(query, { [variable]: values }, signal, isAnswered);
  if (hasRoot(reply, plan.root)) return readAnswers(ids, reply, plan, by);

  // One row's error took the whole answer with it (a non-null list): find the row by halves.
  const [id] = ids;
  if (ids.length === 1 && id !== undefined) return new Map([[id, { kind: 'failed', reason: reasonOf(reply.errors) }]]);
  const middle = Math.ceil(ids.length / 2);
  const first = await ask(ids.slice(0, middle), options, signal);
  const second = await ask(ids.slice(middle), options, signal);
  return new Map([...first, ...second]);
}

/** True if the list is there, or is null without an error: nothing was found. */
function hasRoot({ data, errors }: GraphReply, root: string): boolean {
  if (data === null) return false;
  return Array.isArray(data[root]) || !errors.some(({ path }) => path.length === 0 || path[0] === root);
}

/** True if an error names a row of the list. */
function blames({ errors }: GraphReply, root: string): boolean {
  return errors.some(({ path }) => path[0] === root && path.length > 1);
}

function readAnswers(ids: readonly string[], reply: GraphReply, plan: QueryPlan, by: string): Map<string, Answer> {
  const list = (reply.data?.[plan.root] ?? []) as unknown[];
  const idAt = (slot: number): string | null =>
    idOf(list[slot], by) ?? (list.length === ids.length ? (ids[slot] ?? null) : null);
  const blamed = new Map<string, GraphError[]>();
  const unplaced: GraphError[] = [];
  for (const error of reply.errors) {
    const slot = error.path[0] === plan.root ? error.path[1] : undefined;
    const id = typeof slot === 'number' ? idAt(slot) : null;
    if (id === null) unplaced.push(error);
    else blamed.set(id, [...(blamed.get(id) ?? []), error]);
  }
  const byId = new Map<string, unknown>();
  for (const item of list) {
    const id = idOf(item, by);
    if (id !== null) byId.set(id, item);
  }
  return new Map(
    ids.map((id): [string, Answer] => {
      const errors = blamed.get(id) ?? (byId.has(id) ? [] : unplaced);
      if (errors.length > 0) return [id, { kind: 'failed', reason: reasonOf(errors) }];
      return [id, byId.has(id) ? read(plan, byId.get(id)) : { kind: 'missing' }];
    }),
  );
}

function read(plan: QueryPlan, item: unknown): Answer {
  try {
    return { kind: 'found', value: plan.read(item) };
  } catch (error) {
    if (error instanceof AnswerError) return { kind: 'failed', reason: error.message };
    throw error;
  }
}

function idOf(item: unknown, by: string): string | null {
  const id = typeof item === 'object' && item !== null ? (item as Record<string, unknown>)[by] : null;
  if (id === null || id === undefined) return null;
  return typeof id === 'object' && 'text' in id ? String(id.text) : String(id);
}

function reasonOf(errors: readonly GraphError[]): string {
  const [error] = errors;
  if (error === undefined) return 'The graph gave no reason.';
  const place = error.path.filter((part) => typeof part === 'string').join('.');
  const code = error.code === null ? '' : ` (${error.code})`;
  return `The graph answered with an error${place === '' ? '' : ` at ${place}`}: ${error.message}${code}`;
}
