import { allowedFunctions, allowedTableFunctions } from './allowed-functions.ts';
import type { Analysis, Place } from './child-protocol.ts';
import { placeOfByte, placeOfCodePoint, StatementError } from './query-problem.ts';

/** A node of the tree that DuckDB's `json_serialize_sql` gives. */
type Tree = { readonly [key: string]: unknown };

/**
 * Checks the syntax tree of a statement: one SELECT, calling only allowed functions, reading only `namespace.table` names
 * and its own CTEs. What the check does not know is refused. `sql` is the text the tree was made of; `tree` the answer of
 * `json_serialize_sql` with defaults skipped. Throws `StatementError`.
 */
export function checkStatement(sql: string, tree: string): Omit<Analysis, 'parameters'> {
  const answer = JSON.parse(tree) as Tree;
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
  const walk = new StatementWalk(sql);
  walk.visit(statement, new Set());
  return { tables: [...walk.tables.values()] };
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

class StatementWalk {
  readonly tables = new Map<string, Analysis['tables'][number]>();
  readonly #sql: string;

  constructor(sql: string) {
    this.#sql = sql;
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
    if (isConstant(tree)) return;
    const inScope = this.#visitCtes(tree, outer);
    for (const [key, child] of Object.entries(tree)) {
      if (key === 'cte_map') continue;
      // Only the second part of a recursion sees itself: in the first its name is whatever else has that name.
      if (key === 'right' && tree.type === 'RECURSIVE_CTE_NODE') this.visit(child, withOwnName(tree, inScope));
      else if (key === 'function' && tree.type === 'TABLE_FUNCTION') this.#visitTableFunction(child as Tree, inScope);
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
    if (tree.at_clause !== undefined) {
      throw new StatementError(
        'sql_refused',
        'AT is not available here: choose the time of the whole query with "as of".',
        at,
      );
    }
    if (tree.catalog_name !== undefined) {
      throw new StatementError(
        'sql_invalid',
        `There is no table "${tree.catalog_name}.${tree.schema_name}.${table}": a table's name is namespace.table.`,
        at,
      );
    }
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
    const namespace = String(tree.schema_name);
    const key = JSON.stringify([namespace, table].map((part) => part.toLowerCase()));
    if (!this.tables.has(key)) this.tables.set(key, { namespace, table, at });
  }

  #checkTableFunction(tree: Tree): void {
    const call = tree.function;
    if (!isTree(call) || typeof call.function_name !== 'string') throw this.#unknown(tree, 'TABLE_FUNCTION');
    this.#checkFunction(tree, call.function_name, allowedTableFunctions);
  }

  /** The call itself has been checked against the table functions; what it is called with is like any expression. */
  #visitTableFunction(call: Tree, ctes: ReadonlySet<string>): void {
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

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function looksLikeFile(name: string): boolean {
  return /[/\\*?]|\.(parquet|csv|tsv|json|ndjson|jsonl|db|duckdb|xlsx|txt|gz|zst)$|^\w+:/i.test(name);
}
