import { isTree, type Tree } from './syntax-tree.ts';

/**
 * The tables of which a SELECT needs all rows that their filters let through, by the tables' nodes: where it aggregates one
 * table and nothing else can narrow its rows before: no condition is pushed down from around it, nothing is joined.
 */
export function neededWhole(select: Tree, isOutermost: boolean): Map<Tree, WholeRead> {
  const table = select.from_table;
  if (!isTree(table) || table.type !== 'BASE_TABLE' || table.sample !== undefined || select.sample !== undefined) {
    return new Map();
  }
  const hasGroups =
    select.group_expressions !== undefined ||
    select.aggregate_handling === 'FORCE_AGGREGATES' ||
    list(select.modifiers).some((modifier) => isTree(modifier) && modifier.type === 'DISTINCT_MODIFIER');
  const isAggregated = hasGroups || list(select.select_list).some(hasAggregate);
  if (!isAggregated) return new Map();
  if (!isOutermost && (hasGroups || select.where_clause !== undefined)) return new Map();
  // Conditions on groups are conditions on rows; a subquery of the WHERE may be a join.
  if (hasGroups && (select.having !== undefined || select.qualify !== undefined)) return new Map();
  return hasSubquery(select.where_clause) ? new Map() : new Map([[table, { reads: namesIn(select) }]]);
}

export interface WholeRead {
  /** Names in lower case, those of all columns that are read among them; null where a star reads more. */
  reads: string[] | null;
}

function namesIn(tree: Tree): string[] | null {
  const names = new Set<string>();
  const visit = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.every(visit);
    if (!isTree(value)) return true;
    if (value.class === 'STAR') return false;
    if (value.class === 'COLUMN_REF')
      for (const name of list(value.column_names)) names.add(String(name).toLowerCase());
    return Object.values(value).every(visit);
  };
  return visit(tree) ? [...names] : null;
}

/** The SELECTs whose rows are the statement's: nothing around them can push a condition into them. */
export function outermostSelects(statement: Tree): Set<Tree> {
  const node = isTree(statement.node) ? statement.node : statement;
  if (node.type === 'SELECT_NODE') return new Set([node]);
  if (node.type !== 'SET_OPERATION_NODE') return new Set();
  return new Set([node.left, node.right].filter(isTree).flatMap((side) => [...outermostSelects(side)]));
}

/** The column's name if the statement is `SELECT count(*) FROM table` and nothing more; else null. */
export function bareCount(statement: Tree): string | null {
  const select = statement.node;
  if (!isTree(select) || select.type !== 'SELECT_NODE' || !hasOnly(statement, ['node'])) return null;
  if (!hasOnly(select, ['type', 'select_list', 'from_table', 'aggregate_handling'])) return null;
  const [item, ...others] = list(select.select_list);
  const table = select.from_table;
  if (select.aggregate_handling !== 'STANDARD_HANDLING' || !isTree(item) || others.length > 0 || !isTree(table)) {
    return null;
  }
  const isCount = item.class === 'FUNCTION' && item.function_name === 'count_star';
  const itemKeys = ['class', 'type', 'alias', 'query_location', 'function_name', 'order_bys'];
  if (!isCount || !hasOnly(item, itemKeys) || !isTree(item.order_bys) || !hasOnly(item.order_bys, ['type']))
    return null;
  const tableKeys = ['type', 'alias', 'query_location', 'catalog_name', 'schema_name', 'table_name', 'at_clause'];
  if (table.type !== 'BASE_TABLE' || !hasOnly(table, tableKeys)) return null;
  return typeof item.alias === 'string' ? item.alias : 'count_star()';
}

function hasOnly(tree: Tree, keys: readonly string[]): boolean {
  return Object.keys(tree).every((key) => keys.includes(key));
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Whether an expression of a SELECT makes it aggregate; those of window functions and of subqueries do not. */
function hasAggregate(expression: unknown): boolean {
  if (Array.isArray(expression)) return expression.some(hasAggregate);
  if (!isTree(expression) || expression.class === 'SUBQUERY' || expression.class === 'WINDOW') return false;
  if (expression.class === 'FUNCTION' && aggregates.has(String(expression.function_name).toLowerCase())) return true;
  return Object.values(expression).some(hasAggregate);
}

function hasSubquery(expression: unknown): boolean {
  if (Array.isArray(expression)) return expression.some(hasSubquery);
  if (!isTree(expression)) return false;
  return expression.class === 'SUBQUERY' || Object.values(expression).some(hasSubquery);
}

/** Aggregates that people write; a SELECT with another one alone is as right, and slower. */
const aggregates: ReadonlySet<string> = new Set(
  `any_value approx_count_distinct approx_quantile arg_max arg_min argmax argmin avg bit_and bit_or bit_xor bool_and bool_or
   corr count count_if count_star countif covar_pop covar_samp entropy favg fsum histogram kahan_sum kurtosis mad max max_by
   mean median min min_by mode product quantile quantile_cont quantile_disc regr_slope skewness stddev stddev_pop stddev_samp
   sum var_pop var_samp variance`.split(/\s+/),
);
