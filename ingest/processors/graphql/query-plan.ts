import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isLeafType,
  isListType,
  isNonNullType,
  isScalarType,
  Kind,
  type OperationDefinitionNode,
  parse,
  type TypeNode,
  typeFromAST,
  validate,
} from 'graphql';
import { DailiesError } from '#catalog/error.ts';
import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import { collectFields, fieldShapes, structShape } from './answer-shape.ts';

/** A query that looks rows up by a list of ids, understood against the graph's schema. */
export interface QueryPlan {
  /** The name under which the list of answers comes. */
  root: string;
  /** The struct that an answer becomes, without its id. */
  type: FieldType & { kind: 'struct' };
  /** An answer's struct. Throws AnswerError. */
  read(answer: unknown): Value;
  /** Whether the variable takes whole numbers (Int) or texts. */
  takesNumbers: boolean;
}

/** Throws `graphql_refused` with the place for a text that is not one GraphQL query. */
export function parseQuery(query: string): DocumentNode {
  let document: DocumentNode;
  try {
    document = parse(query);
  } catch (error) {
    throw refused(`The query is not GraphQL: ${place(error as GraphQLError)}`);
  }
  operationOf(document);
  return document;
}

/**
 * Checks the query against the schema and derives what its answers become. `variable` is the list of ids, `by` the
 * answer's field that holds the id. Throws `graphql_refused` with the place.
 */
export function planQuery(document: DocumentNode, schema: GraphQLSchema, variable: string, by: string): QueryPlan {
  const errors = validate(schema, document);
  if (errors.length > 0) throw refused(`The graph refuses the query: ${errors.slice(0, 3).map(place).join(' ')}`);
  const operation = operationOf(document);
  const takesNumbers = checkVariables(operation, schema, variable);

  const fragments = new Map(
    document.definitions.flatMap((node) =>
      node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node] as const] : [],
    ),
  );
  const context = { schema, fragments };
  const queryType = schema.getQueryType();
  if (!queryType) throw refused('The graph answers no queries.');
  const roots = [...collectFields(queryType, [operation.selectionSet], context)];
  const [entry] = roots;
  if (entry === undefined || roots.length > 1) throw refused('The query must ask for one field at its top.');
  const [root, { definition, nodes }] = entry;
  const list = getNullableType(definition.type);
  const answer = getNamedType(definition.type);
  if (!isListType(list) || isListType(getNullableType(list.ofType)) || !isCompositeType(answer))
    throw refused(`"${root}" must answer with a list of objects, one for each id.`);

  const sets = nodes.flatMap(({ selectionSet }) => (selectionSet === undefined ? [] : [selectionSet]));
  const selected = collectFields(answer, sets, context);
  const id = selected.get(by);
  if (id === undefined || !isLeafType(getNullableType(id.definition.type)))
    throw refused(`The query must ask "${root}" for its "${by}", so that answers can be matched to rows.`);
  selected.delete(by);
  if (selected.size === 0) throw refused(`The query asks "${root}" for nothing but its "${by}".`);
  const { type, read } = structShape(fieldShapes(selected, context, [root]), [root]);
  if (type.kind !== 'struct') throw refused('The answer is not an object.');
  return { root, type, read, takesNumbers };
}

function operationOf(document: DocumentNode): OperationDefinitionNode {
  const operations = document.definitions.filter((node) => node.kind === Kind.OPERATION_DEFINITION);
  const [operation] = operations;
  if (operation === undefined || operations.length > 1 || operation.operation !== 'query')
    throw refused('Exactly one operation is needed, and it must be a query.');
  return operation;
}

/** True if the list holds Ints. */
function checkVariables(operation: OperationDefinitionNode, schema: GraphQLSchema, variable: string): boolean {
  const definitions = operation.variableDefinitions ?? [];
  const wanted = definitions.find((definition) => definition.variable.name.value === variable);
  if (wanted === undefined) throw refused(`The query has no variable $${variable}, which "match" names.`);
  for (const other of definitions)
    if (other !== wanted && other.type.kind === Kind.NON_NULL_TYPE && other.defaultValue === undefined)
      throw refused(`Nothing gives the variable $${other.variable.name.value} a value.`);
  const type = inputType(schema, wanted.type);
  const list = type !== undefined && isNonNullType(type) ? type.ofType : type;
  const element = isListType(list) ? getNullableType(list.ofType) : undefined;
  if (!isScalarType(element)) throw refused(`$${variable} must be a list of ids, such as [ID!]!.`);
  return element.name === 'Int';
}

function inputType(schema: GraphQLSchema, node: TypeNode): GraphQLInputType | undefined {
  return typeFromAST(schema, node as never) as GraphQLInputType | undefined;
}

function place(error: GraphQLError): string {
  const [at] = error.locations ?? [];
  const message = error.message.endsWith('.') ? error.message.slice(0, -1) : error.message;
  return at === undefined ? `${message}.` : `${message}, at line ${at.line}, column ${at.column} of the query.`;
}

export function refused(message: string, details: Record<string, unknown> = {}): DailiesError {
  return new DailiesError('graphql_refused', message, { details });
}
