import { Prisma, type Query } from '#prisma/generated/client.ts';
import { DailiesError } from '../error.ts';
import type { State } from '../state/state.ts';
import type { ResultColumn } from './child-protocol.ts';
import type { QueryErrorRecord, QueryState } from './query-state.ts';
import type { ResultStore } from './result-store.ts';

/** What is known of a query when it ends. */
export interface QueryEnd {
  state: QueryState['state'];
  columns: ResultColumn[] | null;
  rowCount: number;
  elapsedMs: number | null;
  snapshots: Record<string, string>;
  error: QueryErrorRecord | null;
}

/** The queries in the state database: what remains of them when their process and their service are gone. */
export class QueryRecords {
  readonly #state: State;
  readonly #now: () => Date;

  constructor(state: State, now: () => Date) {
    this.#state = state;
    this.#now = now;
  }

  async create(
    query: Pick<Query, 'id' | 'owner' | 'sql' | 'asOf' | 'asOfRef' | 'origin' | 'createdAt'>,
    parameters: object,
  ): Promise<void> {
    await this.#state.query.create({ data: { ...query, parameters: parameters as Prisma.InputJsonObject } });
  }

  async start(id: string): Promise<void> {
    await this.#state.query.update({ where: { id }, data: { state: 'running', startedAt: this.#now() } });
  }

  async end(id: string, { columns, error, ...end }: QueryEnd): Promise<void> {
    const data = {
      ...end,
      columns: columns === null ? Prisma.DbNull : (columns as unknown as Prisma.InputJsonArray),
      error: error === null ? Prisma.DbNull : (error as unknown as Prisma.InputJsonObject),
      endedAt: this.#now(),
    };
    await this.#state.query.update({ where: { id }, data });
  }

  /** Throws `not_found` for one that is not there or is somebody else's: whether it exists is theirs to know. */
  async find(id: string, owner: string): Promise<Query> {
    const row = await this.#state.query.findUnique({ where: { id } });
    if (row === null || row.owner !== owner) throw noSuchQuery();
    return row;
  }

  async forgetBefore(ageMs: number): Promise<void> {
    await this.#state.query.deleteMany({ where: { createdAt: { lt: this.#before(ageMs) } } });
  }

  /**
   * Marks as failed what an earlier life left unfinished. A query without a folder here may be another machine's: it is given
   * up only after `longestMs`, when it can no longer run there.
   */
  async giveUpOrphans(store: ResultStore, longestMs: number): Promise<void> {
    const unfinished = { in: ['queued', 'running'] };
    const message = 'The product was restarted while this query ran: run it again.';
    const error = new DailiesError('internal', message).toJSON() as unknown as Prisma.InputJsonObject;
    for (const { id, createdAt } of await this.#state.query.findMany({ where: { state: unfinished } })) {
      const folder = await store.stateOf(id);
      if (folder === 'working' || (folder === 'gone' && createdAt > this.#before(longestMs))) continue;
      const data = { state: 'failed', error, endedAt: this.#now() };
      await this.#state.query.updateMany({ where: { id, state: unfinished }, data });
      if (folder === 'idle') await store.end(id);
    }
  }

  #before(ageMs: number): Date {
    return new Date(this.#now().getTime() - ageMs);
  }
}

export function noSuchQuery(): DailiesError {
  return new DailiesError('not_found', 'There is no such query.');
}
