import { isTree, type Tree } from './syntax-tree.ts';

/**
 * What every row that a statement needs of a table fulfils, as far as it compares columns with constants and parameters:
 * plain JSON. It only ever lets more rows through than the statement does; NULL compares as in SQL.
 */
export type TableFilter =
  | { op: 'and' | 'or'; of: TableFilter[] }
  | { op: Comparison; column: string[]; value: FilterValue }
  | { op: 'null' | 'not null'; column: string[] };

export type Comparison = '=' | '<' | '<=' | '>' | '>=';

/** A text as SQL writes a value of the kind; `text` is a literal without a type, which takes the column's. */
export type FilterValue =
  | { kind: 'text' | 'number' | 'date' | 'timestamp'; text: string }
  | { kind: 'parameter'; name: string };

/**
 * The filters that the WHERE of a SELECT puts on tables of its FROM, by the tables' nodes. Only where the WHERE is of that
 * table alone: an outer join's other side may show rows of which the table has none.
 */
export function tableFilters(select: Tree): Map<Tree, TableFilter> {
  const filters = new Map<Tree, TableFilter>();
  if (!isTree(select.from_table) || !isTree(select.where_clause) || select.sample !== undefined) return filters;
  const { filtered, count } = filteredTables(select.from_table);
  for (const table of filtered) {
    const filter = filterOf(select.where_clause, (names) => columnOf(names, table, count === 1));
    if (filter) filters.set(table, filter);
  }
  return filters;
}

/** The tables whose rows all pass the WHERE, and how many things FROM holds at all. */
function filteredTables(from: Tree): { filtered: Tree[]; count: number } {
  if (from.sample !== undefined) return { filtered: [], count: 2 };
  if (from.type === 'BASE_TABLE') {
    // Names that are given to the columns hide their own.
    return { filtered: from.column_name_alias === undefined ? [from] : [], count: 1 };
  }
  if (from.type !== 'JOIN' || !isTree(from.left) || !isTree(from.right)) return { filtered: [], count: 1 };
  const left = filteredTables(from.left);
  const right = filteredTables(from.right);
  const isPlain = from.ref_type === 'REGULAR' || from.ref_type === 'CROSS' || from.ref_type === 'NATURAL';
  const join = isPlain ? String(from.join_type) : '';
  return {
    filtered: [
      ...(['INNER', 'LEFT', 'SEMI', 'ANTI'].includes(join) ? left.filtered : []),
      ...(['INNER', 'RIGHT'].includes(join) ? right.filtered : []),
    ],
    count: left.count + right.count,
  };
}

type FindColumn = (names: readonly string[]) => string[] | null;

/** The column's path in the table; null for a name that may be another's. */
function columnOf(names: readonly string[], table: Tree, isOnly: boolean): string[] | null {
  const qualifiers =
    typeof table.alias === 'string'
      ? [[table.alias]]
      : [
          [table.table_name],
          [table.schema_name, table.table_name],
          [table.catalog_name, table.schema_name, table.table_name],
        ];
  for (const qualifier of qualifiers) {
    const isThis = qualifier.every((part, index) => String(part).toLowerCase() === names[index]?.toLowerCase());
    if (isThis && names.length > qualifier.length) return names.slice(qualifier.length);
  }
  return isOnly ? [...names] : null;
}

function filterOf(expression: unknown, find: FindColumn): TableFilter | null {
  if (!isTree(expression)) return null;
  switch (expression.type) {
    case 'CONJUNCTION_AND': {
      const of = childrenOf(expression).flatMap((child) => filterOf(child, find) ?? []);
      return of.length === 0 ? null : { op: 'and', of };
    }
    case 'CONJUNCTION_OR': {
      const of = childrenOf(expression).map((child) => filterOf(child, find));
      return of.every((filter) => filter !== null) ? { op: 'or', of } : null;
    }
    case 'COMPARE_BETWEEN': {
      const low = comparison('>=', expression.input, expression.lower, find);
      const high = comparison('<=', expression.input, expression.upper, find);
      const of = [low, high].filter((filter) => filter !== null);
      return of.length === 0 ? null : { op: 'and', of };
    }
    case 'COMPARE_IN': {
      const [column, ...values] = childrenOf(expression);
      const of = values.map((value) => comparison('=', column, value, find));
      return of.length > 0 && of.every((filter) => filter !== null) ? { op: 'or', of } : null;
    }
    case 'OPERATOR_IS_NULL':
    case 'OPERATOR_IS_NOT_NULL': {
      const column = columnIn(childrenOf(expression)[0], find);
      return column && { op: expression.type === 'OPERATOR_IS_NULL' ? 'null' : 'not null', column };
    }
  }
  const op = operators[String(expression.type)];
  if (op === undefined) return null;
  return (
    comparison(op, expression.left, expression.right, find) ??
    comparison(turned[op], expression.right, expression.left, find)
  );
}

const operators: Readonly<Record<string, Comparison>> = {
  COMPARE_EQUAL: '=',
  COMPARE_LESSTHAN: '<',
  COMPARE_LESSTHANOREQUALTO: '<=',
  COMPARE_GREATERTHAN: '>',
  COMPARE_GREATERTHANOREQUALTO: '>=',
};

const turned: Readonly<Record<Comparison, Comparison>> = { '=': '=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' };

function childrenOf(expression: Tree): unknown[] {
  return Array.isArray(expression.children) ? expression.children : [];
}

function comparison(op: Comparison, left: unknown, right: unknown, find: FindColumn): TableFilter | null {
  const column = columnIn(left, find);
  const value = isTree(right) ? valueIn(right) : null;
  return column && value && { op, column, value };
}

function columnIn(expression: unknown, find: FindColumn): string[] | null {
  if (!isTree(expression) || expression.type !== 'COLUMN_REF' || !Array.isArray(expression.column_names)) return null;
  return find(expression.column_names.map(String));
}

function valueIn(expression: Tree): FilterValue | null {
  if (expression.type === 'VALUE_PARAMETER') return { kind: 'parameter', name: String(expression.identifier) };
  if (expression.type === 'OPERATOR_CAST') {
    const type = isTree(expression.cast_type) ? String(expression.cast_type.id) : '';
    const inner = isTree(expression.child) ? valueIn(expression.child) : null;
    if (inner?.kind !== 'text') return null;
    if (type === 'DATE') return { kind: 'date', text: inner.text };
    return /^TIMESTAMP( WITH TIME ZONE)?$/.test(type) ? { kind: 'timestamp', text: inner.text } : null;
  }
  if (expression.type !== 'VALUE_CONSTANT' || !isTree(expression.value) || expression.value.is_null === true)
    return null;
  const { type, value } = expression.value;
  if (!isTree(type)) return null;
  if (type.id === 'VARCHAR' && typeof value === 'string') return { kind: 'text', text: value };
  if (typeof value !== 'number' && typeof value !== 'bigint') return null;
  if (/INT(EGER)?$/.test(String(type.id))) return { kind: 'number', text: String(value) };
  if (type.id !== 'DECIMAL' || !isTree(type.type_info)) return null;
  return { kind: 'number', text: decimalText(BigInt(value), Number(type.type_info.scale ?? 0)) };
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
