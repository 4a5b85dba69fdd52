import type { State } from '../state/state.ts';

/** One table as search sees it; names are folded to lower case. */
interface Entry {
  name: string;
  folded: string;
  /** Title, description and owner. */
  words: string;
  freshAsOf: number;
  changedAt: number;
  columns: IndexedColumn[];
}

interface IndexedColumn {
  path: string;
  folded: string;
  /** The last part of a nested path. */
  leaf: string;
  description: string | null;
  type: string;
}

export interface SearchHit {
  /** namespace.table */
  table: string;
  /** Reports that read it and queries of the last 30 days. */
  usage: number;
  /** The column that matched best, null where the table's own name or words did. */
  column: { path: string; type: string; description: string | null } | null;
}

/** How long the answer may be behind the state database. */
const refreshAfterMs = 1000;
const usageAfterMs = 60_000;
const pageSize = 500;
const lateMs = 60_000;

/**
 * All tables and columns in memory, so that a search is a scan of strings: 10,000 tables with 200,000 columns take tens of
 * milliseconds and some 60 MB. Only what changed is read again. Search order: exact match, then usage, then freshness.
 */
export class CatalogIndex {
  readonly #state: State;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  #usage = new Map<string, number>();
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #usageAt = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | null = null;

  constructor(state: State, now: () => number = Date.now) {
    this.#state = state;
    this.#now = now;
  }

  /** Every word of `text` must be in the table's name, title, description, owner or one of its columns. */
  async search(text: string, limit = 50): Promise<{ hits: SearchHit[]; total: number }> {
    await this.#refresh();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found: { entry: Entry; rank: number; column: IndexedColumn | null }[] = [];
    for (const entry of this.#entries.values()) {
      const match = matchEntry(entry, words);
      if (match !== null) found.push({ entry, ...match });
    }
    found.sort(
      (a, b) =>
        a.rank - b.rank ||
        this.#usageOf(b.entry) - this.#usageOf(a.entry) ||
        b.entry.freshAsOf - a.entry.freshAsOf ||
        (a.entry.name < b.entry.name ? -1 : 1),
    );
    return { hits: found.slice(0, limit).map(({ entry, column }) => this.#hit(entry, column)), total: found.length };
  }

  #hit(entry: Entry, column: IndexedColumn | null): SearchHit {
    return {
      table: entry.name,
      usage: this.#usageOf(entry),
      column: column === null ? null : { path: column.path, type: column.type, description: column.description },
    };
  }

  #usageOf(entry: Entry): number {
    return this.#usage.get(entry.name) ?? 0;
  }

  async #refresh(): Promise<void> {
    if (this.#now() - this.#refreshedAt < refreshAfterMs) return;
    this.#refreshing ??= this.#load().finally(() => {
      this.#refreshing = null;
    });
    await this.#refreshing;
  }

  async #load(): Promise<void> {
    const startedAt = this.#now();
    // A change that committed late carries an instant from before the last look.
    const since = new Date(Math.max(0, this.#refreshedAt - lateMs));
    const [total, changed] = await Promise.all([
      this.#state.dataTable.count(),
      this.#state.dataTable.findMany({
        where: this.#refreshedAt === Number.NEGATIVE_INFINITY ? {} : { changedAt: { gte: since } },
        select: { name: true, title: true, description: true, ownerEmail: true, freshAsOf: true, changedAt: true },
      }),
    ]);
    const names: string[] = [];
    for (const table of changed) {
      const known = this.#entries.get(table.name);
      const changedAt = table.changedAt.getTime();
      if (known?.changedAt !== changedAt) names.push(table.name);
      this.#entries.set(table.name, {
        name: table.name,
        folded: table.name.toLowerCase(),
        words: [table.title, table.description, table.ownerEmail].join(' ').toLowerCase(),
        freshAsOf: table.freshAsOf?.getTime() ?? 0,
        changedAt,
        columns: known?.columns ?? [],
      });
    }
    for (let at = 0; at < names.length; at += pageSize) await this.#loadColumns(names.slice(at, at + pageSize));
    if (total !== this.#entries.size) await this.#forgetDropped();
    if (startedAt - this.#usageAt >= usageAfterMs) {
      this.#usage = await loadUsage(this.#state, new Date(startedAt - 30 * 86_400_000));
      this.#usageAt = startedAt;
    }
    this.#refreshedAt = startedAt;
  }

  async #forgetDropped(): Promise<void> {
    const tables = await this.#state.dataTable.findMany({ select: { name: true } });
    const present = new Set(tables.map((table) => table.name));
    for (const name of this.#entries.keys()) if (!present.has(name)) this.#entries.delete(name);
  }

  async #loadColumns(tables: string[]): Promise<void> {
    const rows = await this.#state.dataColumn.findMany({
      where: { tableName: { in: tables } },
      select: { tableName: true, path: true, type: true, description: true },
      orderBy: [{ tableName: 'asc' }, { ordinal: 'asc' }],
    });
    for (const name of tables) {
      const entry = this.#entries.get(name);
      if (entry !== undefined) entry.columns = [];
    }
    for (const row of rows) {
      const folded = row.path.toLowerCase();
      const leaf = folded.slice(folded.lastIndexOf('.') + 1);
      this.#entries
        .get(row.tableName)
        ?.columns.push({ path: row.path, folded, leaf, description: row.description, type: row.type });
    }
  }
}

/** 0 exact table name, 1 exact column name, 2 name begins with it, 3 in the name, 4 in a column's, 5 in the words; null for none. */
function matchEntry(entry: Entry, words: readonly string[]): { rank: number; column: IndexedColumn | null } | null {
  let rank = 0;
  let column: IndexedColumn | null = null;
  for (const word of words) {
    const match = matchWord(entry, word);
    if (match === null) return null;
    rank = Math.max(rank, match.rank);
    column ??= match.column;
  }
  return { rank, column };
}

function matchWord(entry: Entry, word: string): { rank: number; column: IndexedColumn | null } | null {
  const table = entry.folded.slice(entry.folded.indexOf('.') + 1);
  if (entry.folded === word || table === word) return { rank: 0, column: null };
  let partial: IndexedColumn | null = null;
  for (const column of entry.columns) {
    if (column.leaf === word || column.folded === word) return { rank: 1, column };
    if (partial === null && column.folded.includes(word)) partial = column;
  }
  if (table.startsWith(word)) return { rank: 2, column: null };
  if (entry.folded.includes(word)) return { rank: 3, column: null };
  if (partial !== null) return { rank: 4, column: partial };
  if (entry.words.includes(word)) return { rank: 5, column: null };
  const described = entry.columns.find((column) => column.description?.toLowerCase().includes(word));
  return described === undefined ? null : { rank: 5, column: described };
}

async function loadUsage(state: State, since: Date): Promise<Map<string, number>> {
  const rows = await state.$queryRaw<{ name: string; uses: bigint }[]>`
    SELECT name, count(*) AS uses FROM (
      SELECT unnest(reads) AS name FROM "Report"
      UNION ALL
      SELECT jsonb_object_keys(snapshots) FROM "Query" WHERE jsonb_typeof(snapshots) = 'object' AND "createdAt" >= ${since}
    ) AS used GROUP BY name`;
  return new Map(rows.map((row) => [row.name, Number(row.uses)]));
}
