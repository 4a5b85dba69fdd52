import { parseJson } from '../iceberg/metadata/json.ts';
import { lineageNames } from '../iceberg/metadata/row-lineage.ts';
import { allowedFunctions, allowedTableFunctions } from './allowed-functions.ts';
import type { Analysis, Place, TableMention } from './child-protocol.ts';
import { bareCount, neededWhole, outermostSelects, type WholeRead } from './needed-rows.ts';
import { placeOfByte, placeOfCodePoint, StatementError } from './query-problem.ts';
import { isTree, type Tree } from './syntax-tree.ts';
import { type TableFilter, tableFilters } from './table-filter.ts';
import { tablePoint } from './table-point.ts';

/** A place of the statement that reads a table in a way that DuckDB does not know: by a state of it, or its changes. */
export interface SpecialRead {
  /** Index into the analysis' tables. */
  table: number;
  kind: 'at' | 'changes';
  /** Where the table's name, or the call, begins: bytes of the statement in UTF-8. */
  startByte: number;
  /** The name that the statement gives it, null if none. */
  alias: string | null;
}

export interface CheckedStatement extends Pick<Analysis, 'tables'> {
  specialReads: SpecialRead[];
  /** The name of its only column if the statement is `SELECT count(*) FROM table` and nothing more; else null. */
  count: string | null;
}

/**
 * Checks the syntax tree of a statement: one SELECT, calling only allowed functions, reading only `namespace.table` names
 * and its own CTEs, as they are, `AT` another state, or their `changes(…)`. What the check does not know is refused. `sql` is
 * the text the tree was made of; `tree` the answer of `json_serialize_sql` with defaults skipped; `nowMs` the clock.
 * Throws `StatementError`.
 */
export function checkStatement(sql: string, tree: string, nowMs: number): CheckedStatement {
  const answer = parseJson(tree) as Tree;
  if (answer.error === true) throw refusedByParser(sql, answer);
  const statements = answer.statements as Tree[];
  const [statement] = statements;
  if (statement === undefined) throw new StatementError('sql_invalid', 'There is no statement here: write one SELECT.');
  if (statements.length > 1) {
    throw new StatementError(
      'sql_refused',
      'Only one statement can run at a time: remove what follows the first semicolon.',
    );
  }
  const walk = new StatementWalk(sql, nowMs, outermostSelects(statement));
  walk.visit(statement, new Set());
  const { wantsLineage } = walk;
  const count = bareCount(statement);
  const tables = [...walk.tables.values()].map((mention) => ({
    ...mention,
    needs: count === null ? mention.needs : 'count',
    wantsLineage,
  }));
  return { tables, specialReads: walk.specialReads, count };
}

function refusedByParser(sql: string, answer: Tree): StatementError {
  const message = String(answer.error_message);
  if (answer.error_type === 'not implemented') {
    if (!message.startsWith('Only SELECT')) return new StatementError('sql_refused', message);
    const isPivot = /\bpivot\b/i.test(sql);
    return new StatementError(
      'sql_refused',
      isPivot
        ? "PIVOT needs its values named here: write FROM t PIVOT (sum(x) FOR y IN ('a', 'b'))."
        : 'Only a SELECT can run here: the warehouse is read, never written, and settings cannot be changed.',
    );
  }
  const position = answer.position === undefined ? null : Number(answer.position);
  return new StatementError('sql_invalid', message, position === null ? null : placeOfCodePoint(sql, position));
}

const queryNodes = new Set(['SELECT_NODE', 'SET_OPERATION_NODE', 'RECURSIVE_CTE_NODE', 'CTE_NODE']);
const plainTableRefs = new Set(['EMPTY', 'SUBQUERY', 'JOIN', 'EXPRESSION_LIST', 'PIVOT']);
const modifiers = /^(ORDER|LIMIT|LIMIT_PERCENT|DISTINCT)_MODIFIER$/;
/** DuckDB's own views, found without a schema from anywhere. */
const systemNames = /^(duckdb|pragma|sqlite|pg)_/;
/** What describes a type: its names, sizes and members, all constants. */
const typeInfo = /^[A-Z_]+_TYPE_INFO$/;
const orders = /^(ASCENDING|DESCENDING|ORDER_DEFAULT|INVALID)$/;
const expressionClasses = new Set(
  `BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA LAMBDA_REF OPERATOR PARAMETER
   POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW`.split(/\s+/),
);

type Mention = Omit<TableMention, 'wantsLineage'>;

class StatementWalk {
  readonly tables = new Map<string, Mention>();
  wantsLineage = false;
  readonly specialReads: SpecialRead[] = [];
  readonly #filters = new Map<Tree, TableFilter>();
  readonly #whole = new Map<Tree, WholeRead>();
  readonly #outermost: ReadonlySet<Tree>;
  readonly #sql: string;
  readonly #nowMs: number;

  constructor(sql: string, nowMs: number, outermost: ReadonlySet<Tree>) {
    this.#sql = sql;
    this.#nowMs = nowMs;
    this.#outermost = outermost;
  }

  /** `ctes` are the names, in lower case, of the common table expressions that are in scope. */
  visit(value: unknown, ctes: ReadonlySet<string>): void {
    if (Array.isArray(value)) {
      for (const item of value) this.visit(item, ctes);
    } else if (isTree(value)) {
      this.#visitTree(value, ctes);
    }
  }

  #visitTree(tree: Tree, outer: ReadonlySet<string>): void {
    if (typeof tree.function_name === 'string') this.#checkFunction(tree, tree.function_name, allowedFunctions);
    if (typeof tree.class === 'string') {
      if (!expressionClasses.has(tree.class)) throw this.#unknown(tree, tree.class);
    } else if (typeof tree.type === 'string') {
      this.#checkKind(tree, tree.type, outer);
    }
    if (tree.class === 'COLUMN_REF' && Array.isArray(tree.column_names)) {
      this.wantsLineage ||= lineageNames.includes(String(tree.column_names.at(-1)).toLowerCase());
    }
    if (isConstant(tree)) return;
    if (tree.type === 'SELECT_NODE') {
      const filters = tableFilters(tree);
      for (const [table, filter] of filters) this.#filters.set(table, filter);
      for (const [table, read] of neededWhole(tree, this.#outermost.has(tree))) this.#whole.set(table, read);
    }
    const inScope = this.#visitCtes(tree, outer);
    for (const [key, child] of Object.entries(tree)) {
      if (key === 'cte_map') continue;
      // Only the second part of a recursion sees itself: in the first its name is whatever else has that name.
      if (key === 'right' && tree.type === 'RECURSIVE_CTE_NODE') this.visit(child, withOwnName(tree, inScope));
      else if (key === 'function' && tree.type === 'TABLE_FUNCTION') this.#visitTableFunction(child as Tree, inScope);
      else if (key === 'at_clause') continue;
      else this.visit(child, inScope);
    }
  }

  #checkKind(tree: Tree, type: string, ctes: ReadonlySet<string>): void {
    if (type === 'BASE_TABLE') this.#checkTable(tree, ctes);
    else if (type === 'TABLE_FUNCTION') this.#checkTableFunction(tree);
    else if (type === 'SHOW_REF') this.#checkShow(tree);
    else if (!isPlainKind(type)) throw this.#unknown(tree, type);
  }

  /** Each expression sees those before it; all are seen by the query they precede. */
  #visitCtes(tree: Tree, outer: ReadonlySet<string>): ReadonlySet<string> {
    const own = isTree(tree.cte_map) && Array.isArray(tree.cte_map.map) ? (tree.cte_map.map as Tree[]) : [];
    if (own.length === 0) return outer;
    const inScope = new Set(outer);
    for (const { key, value } of own) {
      this.visit(value, new Set(inScope));
      const name = String(key).toLowerCase();
      if (systemNames.test(name)) {
        throw new StatementError('sql_refused', `"${key}" is a name of DuckDB's own: give WITH another one.`);
      }
      inScope.add(name);
    }
    return inScope;
  }

  #checkTable(tree: Tree, ctes: ReadonlySet<string>): void {
    const at = this.#placeOf(tree);
    const table = String(tree.table_name);
    if (tree.schema_name === undefined) {
      if (ctes.has(table.toLowerCase())) return;
      throw looksLikeFile(table)
        ? new StatementError(
            'sql_refused',
            'Files cannot be read by path: name a table of the warehouse, as in production.movie.',
            at,
          )
        : new StatementError(
            'sql_invalid',
            `There is no table "${table}": a table's name is namespace.table, as in production.movie.`,
            at,
          );
    }
    const schema = String(tree.schema_name);
    const levels = tree.catalog_name === undefined ? [schema] : [String(tree.catalog_name), schema];
    const clause = tree.at_clause;
    const filter = this.#filters.get(tree) ?? null;
    const whole = this.#whole.get(tree);
    const rest = { filter, needs: whole ? 'all' : 'some', reads: whole?.reads ?? null } as const;
    if (!isTree(clause)) {
      this.#addTable({ levels, table, at, read: { kind: 'now' }, ...rest });
      return;
    }
    const unit = clause.unit === 'VERSION' ? 'version' : 'timestamp';
    const point = tablePoint(clause.expr, unit, this.#nowMs, at);
    this.#addSpecial(tree, { levels, table, at, read: { kind: 'at', point }, ...rest }, 'at');
  }

  /** `changes('namespace.table', from [, to])`, of constants and parameters. */
  #checkChanges(tree: Tree, call: Tree): void {
    const at = this.#placeOf(tree);
    const [name, from, to, ...others] = Array.isArray(call.children) ? (call.children as unknown[]) : [];
    const text = isTree(name) && name.type === 'VALUE_CONSTANT' && isTree(name.value) ? name.value.value : null;
    const path = typeof text === 'string' ? nameParts(text) : null;
    const table = path?.pop();
    if (path === null || table === undefined || path.length === 0 || from === undefined || others.length > 0) {
      const example = "changes('production.movie', '2026-03-01', '2026-03-02')";
      throw new StatementError(
        'sql_invalid',
        `Write ${example}: a table, from when, and until when (now if left out).`,
        at,
      );
    }
    if (tree.with_ordinality !== undefined) throw this.#unknown(tree, 'WITH_ORDINALITY');
    const point = (expression: unknown) => tablePoint(expression, 'any', this.#nowMs, at);
    const read = { kind: 'changes', from: point(from), to: to === undefined ? null : point(to) } as const;
    this.#addSpecial(tree, { levels: path, table, at, read, filter: null, needs: 'some', reads: null }, 'changes');
  }

  #addTable(mention: Mention): number {
    const { levels, table, read } = mention;
    const key = JSON.stringify([levels.map(lowerCase), lowerCase(table), read]);
    const known = this.tables.get(key);
    if (known && known.needs !== mention.needs) known.needs = 'some';
    if (known) known.reads = known.reads && mention.reads && [...new Set([...known.reads, ...mention.reads])];
    // Every place that reads the table needs its rows.
    if (known && (known.filter === null || mention.filter === null)) known.filter = null;
    else if (known?.filter && mention.filter) known.filter = { op: 'or', of: [known.filter, mention.filter] };
    else this.tables.set(key, mention);
    return [...this.tables.keys()].indexOf(key);
  }

  #addSpecial(tree: Tree, mention: Mention, kind: SpecialRead['kind']): void {
    if (typeof tree.query_location !== 'number') throw this.#unknown(tree, kind);
    const alias = typeof tree.alias === 'string' ? tree.alias : null;
    this.specialReads.push({ table: this.#addTable(mention), kind, startByte: tree.query_location, alias });
  }

  #checkTableFunction(tree: Tree): void {
    const call = tree.function;
    if (!isTree(call) || typeof call.function_name !== 'string') throw this.#unknown(tree, 'TABLE_FUNCTION');
    if (isChanges(call)) this.#checkChanges(tree, call);
    else this.#checkFunction(tree, call.function_name, allowedTableFunctions);
  }

  /** The call itself has been checked against the table functions; what it is called with is like any expression. */
  #visitTableFunction(call: Tree, ctes: ReadonlySet<string>): void {
    if (isChanges(call)) return;
    for (const [key, child] of Object.entries(call)) if (key !== 'function_name') this.visit(child, ctes);
  }

  /** DESCRIBE and SUMMARIZE of a query are questions about the query; SHOW tells of DuckDB's own catalog. */
  #checkShow(tree: Tree): void {
    const isAboutQuery = tree.query !== undefined && tree.table_name === undefined;
    if (!isAboutQuery || !['DESCRIBE', 'SUMMARY'].includes(String(tree.show_type))) {
      throw new StatementError(
        'sql_refused',
        'SHOW is not available here: the catalog page lists the tables.',
        this.#placeOf(tree),
      );
    }
  }

  #checkFunction(tree: Tree, name: string, allowed: ReadonlySet<string>): void {
    if (allowed.has(name.toLowerCase())) return;
    throw new StatementError('sql_refused', `The function ${name} is not available here.`, this.#placeOf(tree));
  }

  #unknown(tree: Tree, kind: string): StatementError {
    const words = kind.toLowerCase().replaceAll('_', ' ');
    return new StatementError('sql_refused', `This kind of SQL is not available here: ${words}.`, this.#placeOf(tree));
  }

  #placeOf(tree: Tree): Place | null {
    return typeof tree.query_location === 'number' ? placeOfByte(this.#sql, tree.query_location) : null;
  }
}

function withOwnName(tree: Tree, ctes: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...ctes, String(tree.cte_name).toLowerCase()]);
}

function isPlainKind(type: string): boolean {
  return (
    queryNodes.has(type) || plainTableRefs.has(type) || modifiers.test(type) || orders.test(type) || typeInfo.test(type)
  );
}

/** A literal: `{type: {id}, is_null, value}`. Nothing in it is ever executed. */
function isConstant(tree: Tree): boolean {
  return typeof tree.is_null === 'boolean' && isTree(tree.type) && tree.class === undefined;
}

function isChanges(call: Tree): boolean {
  return lowerCase(String(call.function_name)) === 'changes';
}

function lowerCase(text: string): string {
  return text.toLowerCase();
}

/** The parts of a dotted name, `production.movie` or `"a.b".movie`; null for what is none. */
function nameParts(text: string): string[] | null {
  const parts = text.match(/"(?:[^"]|"")*"|[^".]+/g) ?? [];
  if (parts.join('.') !== text) return null;
  return parts.map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part));
}

function looksLikeFile(name: string): boolean {
  return /[/\\*?]|\.(parquet|csv|tsv|json|ndjson|jsonl|db|duckdb|xlsx|txt|gz|zst)$|^\w+:/i.test(name);
}
