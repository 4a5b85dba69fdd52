import { DailiesError } from '../../error.ts';
import type { TableCommit, TableEntry } from '../tables/table-catalog.ts';
import { isCurrent, outcomeOf } from './commit-outcome.ts';
import { isPassing, RestRefusal, RestSilence, waitBefore } from './http.ts';
import { type RestSession, unreachable } from './session.ts';
import { entryOf } from './table-answer.ts';
import { commitRequest } from './wire-updates.ts';

export interface CommitDeps {
  session: RestSession;
  load(name: string): Promise<TableEntry | null>;
  pathOf(name: string): Promise<string>;
}

/**
 * Commits one table. What may have been applied without our hearing of it is never given up on before the table was
 * looked at:
 *
 *   answer to the commit             | then
 *   200                              | committed
 *   409, 404; other 4xx in doubt     | look: our snapshot is there → committed, else `commit_conflict` (4xx: refused)
 *   429, or never reached the server | certainly not applied: again after a while
 *   5xx, time-out, cut connection    | in doubt; look: there → committed, else again after a while
 *
 * The same commit may be sent again while it is in doubt, since its requirements let only one of them be applied. After
 * the last attempt: `commit_unknown` if in doubt, else `catalog_unreachable`.
 */
export async function commitOne(commit: TableCommit, deps: CommitDeps): Promise<TableEntry> {
  const { patience } = deps.session.options;
  const body = commitRequest(commit);
  let isInDoubt = false;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await deps.session.askOnce({ method: 'POST', path: await deps.pathOf(commit.name), body });
      return entryOf(commit.name, answer);
    } catch (thrown) {
      const failure = failureOf(thrown);
      if (failure === null) throw thrown;
      isInDoubt ||= failure === 'doubtful';
      if (failure !== 'not applied') {
        const found = await lookFor([commit], deps, isInDoubt, thrown);
        if (found[0]) return found[0];
        if (failure === 'final') throw refusal(commit.name, thrown, isInDoubt);
      }
      if (attempt >= patience.attempts) {
        throw isInDoubt ? unknown([commit], thrown) : unreachable(deps.session.uri, thrown, attempt);
      }
      await waitBefore(attempt, patience, retryAfterMs(thrown));
    }
  }
}

/**
 * Commits several tables at once; `not offered` if the server has no such thing. Like `commitOne`, and where a server has
 * applied only some of them after all, the others are committed alone.
 */
export async function commitTogether(
  commits: readonly TableCommit[],
  deps: CommitDeps,
): Promise<TableEntry[] | 'not offered'> {
  const { patience } = deps.session.options;
  const body = { 'table-changes': commits.map(commitRequest) };
  let isInDoubt = false;
  for (let attempt = 1; ; attempt++) {
    try {
      await deps.session.askOnce({ method: 'POST', path: '/transactions/commit', body });
      return await loadCommitted(commits, deps);
    } catch (thrown) {
      if (isNotOffered(thrown) && !isInDoubt) return 'not offered';
      const failure = failureOf(thrown);
      if (failure === null) throw thrown;
      isInDoubt ||= failure === 'doubtful';
      if (failure !== 'not applied') {
        const found = await lookFor(commits, deps, isInDoubt, thrown);
        if (found.some((entry) => entry !== null)) return await commitRest(commits, found, deps);
        if (failure === 'final') throw refusal(namesOf(commits), thrown, isInDoubt);
      }
      if (attempt >= patience.attempts) {
        throw isInDoubt ? unknown(commits, thrown) : unreachable(deps.session.uri, thrown, attempt);
      }
      await waitBefore(attempt, patience, retryAfterMs(thrown));
    }
  }
}

async function commitRest(
  commits: readonly TableCommit[],
  found: readonly (TableEntry | null)[],
  deps: CommitDeps,
): Promise<TableEntry[]> {
  const entries: TableEntry[] = [];
  for (const [index, commit] of commits.entries()) {
    try {
      entries.push(found[index] ?? (await commitOne(commit, deps)));
    } catch (thrown) {
      throw unknown(commits, thrown);
    }
  }
  return entries;
}

/** The tables of a transaction that was applied: its answer does not hold them. */
async function loadCommitted(commits: readonly TableCommit[], deps: CommitDeps): Promise<TableEntry[]> {
  const entries: TableEntry[] = [];
  for (const commit of commits) {
    const entry = await deps.load(commit.name).catch((thrown: unknown) => {
      throw unknown(commits, thrown);
    });
    if (entry === null || outcomeOf(commit, entry.metadata) === 'absent' || !isCurrent(commit, entry.metadata)) {
      throw overtaken(commit.name);
    }
    entries.push(entry);
  }
  return entries;
}

/** For each commit the table if it shows the commit, else null. Throws `commit_unknown` where that cannot be told. */
async function lookFor(
  commits: readonly TableCommit[],
  deps: CommitDeps,
  isInDoubt: boolean,
  cause: unknown,
): Promise<(TableEntry | null)[]> {
  const found: (TableEntry | null)[] = [];
  for (const commit of commits) {
    const entry = await deps.load(commit.name).catch((thrown: unknown) => {
      throw isInDoubt ? unknown(commits, thrown) : thrown;
    });
    const outcome = outcomeOf(commit, entry?.metadata ?? null);
    if (outcome === 'unclear' && isInDoubt) throw unknown(commits, cause);
    if (outcome !== 'applied' || !entry) {
      found.push(null);
      continue;
    }
    if (!isCurrent(commit, entry.metadata)) throw overtaken(commit.name);
    found.push(entry);
  }
  return found;
}

/** null: not the server's answer to the commit, or one about our credentials, which says enough by itself. */
function failureOf(thrown: unknown): 'not applied' | 'doubtful' | 'final' | null {
  if (thrown instanceof RestSilence) return thrown.isSent ? 'doubtful' : 'not applied';
  if (!(thrown instanceof RestRefusal)) return null;
  if (thrown.status === 429) return 'not applied';
  return isPassing(thrown) ? 'doubtful' : 'final';
}

function isNotOffered(thrown: unknown): boolean {
  if (!(thrown instanceof RestRefusal)) return false;
  if (thrown.status === 404) return !/^NoSuch(Table|Namespace)/.test(thrown.type);
  return thrown.status === 405 || thrown.status === 406 || thrown.status === 501;
}

function refusal(table: string, thrown: unknown, isInDoubt: boolean): unknown {
  if (!(thrown instanceof RestRefusal)) return thrown;
  const said = thrown.message === '' ? `status ${thrown.status}` : thrown.message;
  if (thrown.status === 409 || thrown.status === 404) {
    return new DailiesError('commit_conflict', `Another writer has changed ${table} meanwhile: ${said}.`, {
      cause: thrown,
      details: { table },
    });
  }
  return new DailiesError(
    isInDoubt ? 'commit_unknown' : 'catalog_refused',
    `The catalog does not take the commit to ${table}: it says "${said}".`,
    { cause: thrown, details: { table, status: thrown.status } },
  );
}

function unknown(commits: readonly TableCommit[], cause: unknown): DailiesError {
  const names = namesOf(commits);
  return new DailiesError('commit_unknown', `It is not known whether the commit to ${names} was applied.`, {
    cause,
    details: { tables: commits.map(({ name }) => name) },
  });
}

function overtaken(table: string): DailiesError {
  return new DailiesError('commit_unknown', `The commit to ${table} was applied, and another writer came after it.`, {
    details: { table },
  });
}

function namesOf(commits: readonly TableCommit[]): string {
  return commits.map(({ name }) => name).join(', ');
}

function retryAfterMs(thrown: unknown): number {
  return thrown instanceof RestRefusal ? thrown.retryAfterMs : 0;
}
