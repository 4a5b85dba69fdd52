import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import { ByteCache } from '../manifests/byte-cache.ts';
import type { AlongsideCommit, TableCatalog, TableCommit, TableEntry, TableScope } from '../tables/table-catalog.ts';
import { joinName, nameParts } from '../tables/table-name.ts';
import { isUnfinished } from '../tables/unfinished.ts';
import { type CommitDeps, commitOne, commitTogether } from './commit.ts';
import { RestRefusal } from './http.ts';
import type { RestSession } from './session.ts';
import { entryOf, stagedOf } from './table-answer.ts';

const commitTransaction = 'POST /v1/{prefix}/transactions/commit';

const namespacesAnswer = z.object({
  namespaces: z.array(z.array(z.string())),
  'next-page-token': z.string().nullish(),
});
const tablesAnswer = z.object({
  identifiers: z.array(z.object({ namespace: z.array(z.string()), name: z.string() })),
  'next-page-token': z.string().nullish(),
});

interface Cached {
  etag: string;
  entry: TableEntry;
}

/** Another server's Iceberg REST catalog in place of ours: any that keeps to the protocol. */
export class ExternalCatalog implements TableCatalog {
  readonly kind = 'external';
  readonly uri: string;
  readonly #session: RestSession;
  readonly #state: State;
  readonly #loaded = new ByteCache<Cached>(64 << 20);
  /** Ids that the server has given to tables which are to be made, by name. */
  readonly #stagedUuids = new Map<string, string>();
  #isAtomic = true;

  /** `state` is where `alongside` of a commit writes. */
  constructor(session: RestSession, state: State) {
    this.#session = session;
    this.#state = state;
    this.uri = session.uri;
  }

  /** True until the server is known not to commit several tables at once: its configuration tells, or its refusal. */
  get isAtomic(): boolean {
    return this.#isAtomic;
  }

  /** Asks for the server's configuration. Throws `catalog_refused`, `catalog_unreachable`. */
  async connect(): Promise<void> {
    const { endpoints } = await this.#session.config();
    // A server that does not tell has those of the protocol's beginnings, of which this is one.
    if (endpoints !== null && !endpoints.includes(commitTransaction)) this.#isAtomic = false;
  }

  async locate(name: string, scope: TableScope = 'finished'): Promise<string | null> {
    return (await this.load(name, scope))?.metadataLocation ?? null;
  }

  async load(name: string, scope: TableScope = 'finished'): Promise<TableEntry | null> {
    const entry = await this.#load(name);
    return entry && scope === 'finished' && isUnfinished(entry.metadata) ? null : entry;
  }

  async #load(name: string): Promise<TableEntry | null> {
    const path = await this.#tablePath(name);
    const known = this.#loaded.get(name);
    try {
      const answer = await this.#session.ask({
        method: 'GET',
        path,
        query: { snapshots: 'all' },
        ...(known ? { headers: { 'if-none-match': known.etag } } : {}),
      });
      if (answer.status === 304 && known) return known.entry;
      const entry = entryOf(name, answer);
      const etag = answer.headers.get('etag');
      if (etag !== null) this.#loaded.set(name, { etag, entry }, answer.length * 4);
      return entry;
    } catch (thrown) {
      if (thrown instanceof RestRefusal && thrown.status === 404) return null;
      throw refused(`The table ${name} cannot be loaded`, thrown);
    }
  }

  async list(namespace?: string): Promise<string[]> {
    const namespaces = namespace === undefined ? await this.#allNamespaces() : [nameParts(namespace)];
    const names: string[] = [];
    for (const levels of namespaces) {
      for await (const { identifiers } of this.#pages(
        `/namespaces/${await this.#session.namespaceSegment(levels)}/tables`,
        {},
        tablesAnswer,
      )) {
        for (const { namespace: parts, name } of identifiers) names.push(joinName([...parts, name]));
      }
    }
    return names.sort();
  }

  async namespaces(): Promise<string[]> {
    return (await this.#allNamespaces()).map(joinName).sort();
  }

  /** The server says where: it is asked to stage the table, which makes nothing but its namespace. */
  async newTableLocation(name: string): Promise<string> {
    const levels = nameParts(name);
    const table = levels.pop() ?? '';
    const path = `/namespaces/${await this.#session.namespaceSegment(levels)}/tables`;
    // What the columns will be is said by the commit that makes the table.
    const schema = {
      type: 'struct',
      'schema-id': 0,
      fields: [{ id: 1, name: 'staged', required: false, type: 'long' }],
    };
    try {
      await this.#makeNamespace(levels);
      const answer = await this.#session.ask({
        method: 'POST',
        path,
        body: { name: table, schema, 'stage-create': true, properties: {} },
      });
      const metadata = stagedOf(name, answer);
      this.#stagedUuids.set(name, metadata['table-uuid']);
      return metadata.location.replace(/\/+$/, '');
    } catch (thrown) {
      throw refused(`The table ${name} cannot be made`, thrown);
    }
  }

  async commit(commits: readonly TableCommit[], alongside?: AlongsideCommit): Promise<TableEntry[]> {
    const entries = await this.#commitAll(commits.map((commit) => this.#withServersUuid(commit)));
    for (const { name } of commits) this.#stagedUuids.delete(name);
    if (alongside) {
      await this.#state.$transaction((tx) => alongside(tx, entries), { maxWait: 60_000, timeout: 120_000 });
    }
    return entries;
  }

  async drop(name: string): Promise<void> {
    try {
      await this.#session.ask({
        method: 'DELETE',
        path: await this.#tablePath(name),
        query: { purgeRequested: 'false' },
      });
    } catch (thrown) {
      if (thrown instanceof RestRefusal && thrown.status === 404) return;
      throw refused(`The table ${name} cannot be dropped`, thrown);
    }
  }

  /** THE COMMIT POINT of tables that another server keeps. */
  async #commitAll(commits: readonly TableCommit[]): Promise<TableEntry[]> {
    await this.connect();
    const deps: CommitDeps = {
      session: this.#session,
      load: (name) => this.load(name, 'all'),
      pathOf: (name) => this.#tablePath(name),
    };
    // Servers need not take a table's making into a transaction, and the reference server does not.
    const mayGoTogether = commits.length > 1 && commits.every((commit) => commit.base !== null);
    if (mayGoTogether && this.#isAtomic) {
      const entries = await commitTogether(commits, deps);
      if (entries !== 'not offered') return entries;
      this.#isAtomic = false;
    }
    const entries: TableEntry[] = [];
    for (const commit of commits) {
      try {
        entries.push(await commitOne(commit, deps));
      } catch (thrown) {
        if (entries.length === 0) throw thrown;
        throw committedInPart(commits, entries.length, thrown);
      }
    }
    return entries;
  }

  #withServersUuid(commit: TableCommit): TableCommit {
    const uuid = commit.base === null ? this.#stagedUuids.get(commit.name) : undefined;
    if (uuid === undefined) return commit;
    const updates = commit.updates.map((update) => (update.action === 'assign-uuid' ? { ...update, uuid } : update));
    return { ...commit, updates };
  }

  async #tablePath(name: string): Promise<string> {
    const levels = nameParts(name);
    const table = levels.pop() ?? '';
    if (levels.length === 0) throw new DailiesError('invalid', `"${name}" is not a table name: it needs a namespace.`);
    return `/namespaces/${await this.#session.namespaceSegment(levels)}/tables/${encodeURIComponent(table)}`;
  }

  async #allNamespaces(): Promise<string[][]> {
    const found: string[][] = [];
    const open: (string[] | null)[] = [null];
    for (let parent = open.shift(); parent !== undefined; parent = open.shift()) {
      for (const levels of await this.#children(parent)) {
        found.push(levels);
        open.push(levels);
      }
    }
    return found;
  }

  async #children(parent: readonly string[] | null): Promise<string[][]> {
    const { separator } = await this.#session.config();
    // In a query the separator stands for itself; URLSearchParams encodes it.
    const query = parent === null ? {} : { parent: parent.join(decodeURIComponent(separator)) };
    const children: string[][] = [];
    try {
      for await (const { namespaces } of this.#pages('/namespaces', query, namespacesAnswer)) {
        children.push(...namespaces.filter((levels) => levels.length === (parent?.length ?? 0) + 1));
      }
    } catch (thrown) {
      // Gone meanwhile, or a server whose namespaces have one level.
      if (parent !== null && thrown instanceof DailiesError && thrown.code === 'catalog_refused') return [];
      throw thrown;
    }
    return children;
  }

  async *#pages<Page extends { 'next-page-token'?: string | null | undefined }>(
    path: string,
    query: Readonly<Record<string, string>>,
    shape: z.ZodType<Page>,
  ): AsyncGenerator<Page> {
    let pageToken = '';
    do {
      let page: Page;
      try {
        // An empty token asks for pages at all.
        const answer = await this.#session.ask({ method: 'GET', path, query: { ...query, pageToken } });
        page = shape.parse(answer.json);
      } catch (thrown) {
        if (thrown instanceof RestRefusal && thrown.status === 404) return;
        throw refused('The catalog cannot be listed', thrown);
      }
      yield page;
      pageToken = page['next-page-token'] ?? '';
    } while (pageToken !== '');
  }

  /** With those above it, which some servers want to be there. */
  async #makeNamespace(levels: readonly string[]): Promise<void> {
    for (let depth = 1; depth <= levels.length; depth++) {
      try {
        const namespace = levels.slice(0, depth);
        await this.#session.ask({ method: 'POST', path: '/namespaces', body: { namespace, properties: {} } });
      } catch (thrown) {
        if (!(thrown instanceof RestRefusal && thrown.status === 409)) throw thrown;
      }
    }
  }
}

function refused(what: string, thrown: unknown): unknown {
  if (thrown instanceof z.ZodError) {
    return new DailiesError('catalog_refused', `${what}: the answer is not that of an Iceberg REST catalog.`, {
      cause: thrown,
    });
  }
  if (!(thrown instanceof RestRefusal)) return thrown;
  const said = thrown.message === '' ? `status ${thrown.status}` : thrown.message;
  return new DailiesError('catalog_refused', `${what}: the catalog says "${said}".`, {
    cause: thrown,
    details: { status: thrown.status },
  });
}

function committedInPart(commits: readonly TableCommit[], count: number, cause: unknown): DailiesError {
  const names = commits.map(({ name }) => name);
  return new DailiesError(
    'commit_unknown',
    `The catalog took ${names.slice(0, count).join(', ')} and then not ${names[count]}, as it commits each table alone. What is missing is done again.`,
    { cause, details: { tables: names } },
  );
}
