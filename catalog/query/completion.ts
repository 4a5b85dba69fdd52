import type { State } from '../state/state.ts';
import { allowedFunctions, allowedTableFunctions } from './allowed-functions.ts';
import { type Scope, scopeAt } from './completion-scope.ts';
import { quotedName as quoted, sqlTableName } from './sql-name.ts';

export interface CompletionTable {
  /** namespace.table */
  name: string;
  columns: readonly { path: string; type: string }[];
}

export interface Suggestion {
  /** What is shown. */
  label: string;
  /** What to write in place of the text between `from` and the cursor, quoted where SQL needs it. */
  insert: string;
  kind: 'table' | 'column' | 'function' | 'keyword';
  /** A column's type and table, a table's number of columns. */
  detail: string | null;
}

export interface Completion {
  /** Where the text that a suggestion replaces begins, in UTF-16 units. */
  from: number;
  /** Best first. */
  suggestions: Suggestion[];
}

const mostSuggestions = 50;

/** Completes SQL over a set of tables. Building it takes time in proportion to their columns; asking it does not. */
export class CompletionIndex {
  readonly #tables: { table: CompletionTable; folded: string }[];
  readonly #byName: Map<string, CompletionTable>;
  /** Columns of all tables by their folded name, for text before any FROM. */
  readonly #columns: Map<string, { path: string; type: string; table: string; count: number }>;

  constructor(tables: readonly CompletionTable[]) {
    this.#tables = tables.map((table) => ({ table, folded: table.name.toLowerCase() }));
    this.#byName = new Map(this.#tables.map(({ table, folded }) => [folded, table]));
    this.#columns = new Map();
    for (const table of tables) {
      for (const { path, type } of table.columns) {
        const known = this.#columns.get(path.toLowerCase());
        if (known) known.count++;
        else this.#columns.set(path.toLowerCase(), { path, type, table: table.name, count: 1 });
      }
    }
  }

  /** What may stand at the cursor (an index in UTF-16 units), ranked: what is in scope first, prefixes before parts. */
  complete(text: string, cursor: number): Completion {
    const scope = scopeAt(text, cursor);
    const ranked = new Ranking(scope.prefix);
    if (scope.expects === 'nothing') return { from: scope.from, suggestions: [] };
    if (scope.qualifier !== null) this.#afterDot(scope, ranked);
    else if (scope.expects === 'table name') this.#tableNames(ranked);
    else if (scope.expects === 'table') this.#tablesAndCtes(scope, ranked);
    else this.#expression(scope, ranked);
    return { from: scope.from, suggestions: ranked.best() };
  }

  #afterDot(scope: Scope, ranked: Ranking): void {
    const qualifier = (scope.qualifier ?? '').toLowerCase();
    const aliased = scope.tables.find(({ alias }) => alias?.toLowerCase() === qualifier);
    const table = this.#byName.get((aliased?.name ?? qualifier).toLowerCase()) ?? this.#unaliased(scope, qualifier);
    if (aliased?.isChanges || (!table && qualifier === 'changes')) this.#columnsOfChanges(scope, ranked, 3);
    else if (table && scope.expects !== 'table') this.#columnsOf(table, ranked, 3);
    const side = scope.tables.find(({ isChanges }) => isChanges);
    const changed = side && /^(before|after)$/.test(qualifier) ? this.#byName.get(side.name.toLowerCase()) : undefined;
    if (changed) this.#columnsOf(changed, ranked, 3);
    for (const { table: candidate, folded } of this.#tables) {
      if (!folded.startsWith(`${qualifier}.`)) continue;
      const name = candidate.name.slice(qualifier.length + 1);
      ranked.add({ label: name, insert: quoted(name), kind: 'table', detail: columnCount(candidate) }, 2);
    }
  }

  /** `movie.` where FROM names production.movie without an alias. */
  #unaliased(scope: Scope, qualifier: string): CompletionTable | undefined {
    const named = scope.tables.find(
      ({ name, alias }) => alias === null && name.toLowerCase().endsWith(`.${qualifier}`),
    );
    return named && this.#byName.get(named.name.toLowerCase());
  }

  #tablesAndCtes(scope: Scope, ranked: Ranking): void {
    for (const name of scope.ctes)
      ranked.add({ label: name, insert: quoted(name), kind: 'table', detail: 'of this statement' }, 4);
    this.#allTables(ranked, 3);
    ranked.add({ label: 'changes', insert: "changes('", kind: 'function', detail: 'what changed in a table' }, 1);
    for (const name of allowedTableFunctions)
      ranked.add({ label: name, insert: `${name}(`, kind: 'function', detail: null }, 0);
    for (const word of ['SELECT', 'LATERAL', 'VALUES']) ranked.add(keyword(word), 0);
  }

  #expression(scope: Scope, ranked: Ranking): void {
    const plain = scope.tables.filter(({ isChanges }) => !isChanges);
    const inScope = plain.flatMap(({ name }) => this.#byName.get(name.toLowerCase()) ?? []);
    this.#columnsOfChanges(scope, ranked, 4);
    for (const table of inScope) this.#columnsOf(table, ranked, 4);
    for (const { alias } of scope.tables) {
      if (alias !== null) ranked.add({ label: alias, insert: quoted(alias), kind: 'table', detail: 'alias' }, 3);
    }
    if (inScope.length === 0 && scope.prefix !== '') this.#anyColumns(ranked);
    if (scope.prefix !== '') {
      for (const name of allowedFunctions) {
        if (/^[a-z]/.test(name)) ranked.add({ label: name, insert: `${name}(`, kind: 'function', detail: null }, 1);
      }
      if (scope.tables.length === 0) this.#allTables(ranked, 0);
    }
    for (const word of keywords) ranked.add(keyword(word), 2);
  }

  #columnsOf(table: CompletionTable, ranked: Ranking, weight: number): void {
    for (const { path, type } of table.columns) {
      ranked.add({ label: path, insert: quotedPath(path), kind: 'column', detail: `${type} · ${table.name}` }, weight);
    }
  }

  #tableNames(ranked: Ranking): void {
    for (const { table } of this.#tables) {
      const insert = table.name.replaceAll("'", "''");
      ranked.add({ label: table.name, insert, kind: 'table', detail: columnCount(table) }, 3);
    }
  }

  /** The columns that `changes(…)` gives: the kind of change, and the row before and after it. */
  #columnsOfChanges(scope: Scope, ranked: Ranking, weight: number): void {
    for (const { name, isChanges } of scope.tables) {
      if (!isChanges) continue;
      ranked.add(
        { label: 'change', insert: 'change', kind: 'column', detail: `insert, update or delete · ${name}` },
        weight,
      );
      for (const side of ['before', 'after']) {
        ranked.add({ label: side, insert: side, kind: 'column', detail: `struct · ${name}` }, weight);
        for (const { path, type } of this.#byName.get(name.toLowerCase())?.columns ?? []) {
          const label = `${side}.${path}`;
          ranked.add({ label, insert: quotedPath(label), kind: 'column', detail: `${type} · ${name}` }, weight - 1);
        }
      }
    }
  }

  #anyColumns(ranked: Ranking): void {
    for (const { path, type, table, count } of this.#columns.values()) {
      const where = count === 1 ? table : `${count} tables`;
      ranked.add({ label: path, insert: quotedPath(path), kind: 'column', detail: `${type} · ${where}` }, 2);
    }
  }

  #allTables(ranked: Ranking, weight: number): void {
    for (const { table } of this.#tables) {
      ranked.add(
        { label: table.name, insert: sqlTableName(table.name), kind: 'table', detail: columnCount(table) },
        weight,
      );
    }
  }
}

/** Keeps the best suggestions for a prefix: a match at the start beats one at the start of a word, that one anywhere. */
class Ranking {
  readonly #prefix: string;
  readonly #found: { suggestion: Suggestion; score: number }[] = [];

  constructor(prefix: string) {
    this.#prefix = prefix.toLowerCase();
  }

  add(suggestion: Suggestion, weight: number): void {
    const at = suggestion.label.toLowerCase().indexOf(this.#prefix);
    if (at === -1) return;
    const isWord = at > 0 && /[._ ]/.test(suggestion.label[at - 1] ?? '');
    const match = at === 0 ? 20 : isWord ? 10 : 0;
    // A part inside a word is worth a suggestion of names only.
    if (match === 0 && (suggestion.kind === 'keyword' || suggestion.kind === 'function')) return;
    const isWhole = suggestion.label.length === this.#prefix.length ? 2 : 0;
    this.#found.push({ suggestion, score: match + isWhole + weight });
  }

  best(): Suggestion[] {
    return this.#found
      .sort((a, b) => b.score - a.score || byKind(a.suggestion, b.suggestion))
      .slice(0, mostSuggestions)
      .map(({ suggestion }) => suggestion);
  }
}

/** The index over all tables of the catalog, rebuilt when a table has changed. */
export class CatalogCompletion {
  readonly #state: State;
  #version = '';
  #index: Promise<CompletionIndex> | null = null;

  constructor(state: State) {
    this.#state = state;
  }

  async complete(text: string, cursor: number): Promise<Completion> {
    return (await this.#current()).complete(text, cursor);
  }

  async #current(): Promise<CompletionIndex> {
    const { _count, _max } = await this.#state.dataTable.aggregate({ _count: true, _max: { createdAt: true } });
    const columns = await this.#state.dataColumn.count();
    const version = `${_count} ${_max.createdAt?.getTime()} ${columns}`;
    if (this.#index === null || version !== this.#version) {
      this.#version = version;
      this.#index = this.#build();
      this.#index.catch(() => {
        this.#index = null;
      });
    }
    return await this.#index;
  }

  async #build(): Promise<CompletionIndex> {
    const tables = await this.#state.dataTable.findMany({
      select: { name: true, columns: { select: { path: true, type: true }, orderBy: { ordinal: 'asc' } } },
    });
    return new CompletionIndex(tables);
  }
}

const keywords = [
  'SELECT',
  'FROM',
  'WHERE',
  'GROUP BY',
  'ORDER BY',
  'HAVING',
  'LIMIT',
  'OFFSET',
  'JOIN',
  'LEFT JOIN',
  'INNER JOIN',
  'FULL JOIN',
  'CROSS JOIN',
  'ASOF JOIN',
  'AT (TIMESTAMP =>',
  'AT (VERSION =>',
  'ON',
  'USING',
  'AS',
  'AND',
  'OR',
  'NOT',
  'IN',
  'IS NULL',
  'IS NOT NULL',
  'LIKE',
  'ILIKE',
  'BETWEEN',
  'CASE',
  'WHEN',
  'THEN',
  'ELSE',
  'END',
  'DISTINCT',
  'UNION ALL',
  'UNION',
  'EXCEPT',
  'INTERSECT',
  'WITH',
  'EXISTS',
  'CAST',
  'INTERVAL',
  'DATE',
  'TIMESTAMP',
  'NULL',
  'TRUE',
  'FALSE',
  'ASC',
  'DESC',
  'NULLS LAST',
  'OVER',
  'PARTITION BY',
  'QUALIFY',
  'FILTER',
  'EXCLUDE',
  'VALUES',
];

function quotedPath(path: string): string {
  return path.split('.').map(quoted).join('.');
}

function keyword(word: string): Suggestion {
  return { label: word, insert: word, kind: 'keyword', detail: null };
}

function columnCount(table: CompletionTable): string {
  return table.columns.length === 1 ? '1 column' : `${table.columns.length} columns`;
}

const kinds: Suggestion['kind'][] = ['column', 'table', 'function', 'keyword'];

/** Columns and keywords stay in their own order; of tables and functions the shorter name comes first. */
function byKind(a: Suggestion, b: Suggestion): number {
  if (a.kind !== b.kind) return kinds.indexOf(a.kind) - kinds.indexOf(b.kind);
  if (a.kind === 'column' || a.kind === 'keyword') return 0;
  return a.label.length - b.label.length || compare(a.label, b.label);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
