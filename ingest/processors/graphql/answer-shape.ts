import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isEnumType,
  isInterfaceType,
  isListType,
  isObjectType,
  isScalarType,
  type SelectionSetNode,
  TypeNameMetaFieldDef,
} from 'graphql';
import type { Field, FieldType, Value } from '#catalog/schemas/schema.ts';
import { RawNumber } from '../../raw-number.ts';
import { parseDate, parseTimestamp } from '../expression/scalars.ts';

/** How one part of an answer lands: its type, and its value from the parsed JSON. `read` throws AnswerError. */
export interface Shape {
  type: FieldType;
  read(json: unknown): Value;
}

/** An answer that does not hold to the graph's own schema. The message names the place, never the value. */
export class AnswerError extends Error {}

/** A selected field by the name under which it is answered. */
export interface Selected {
  definition: GraphQLField<unknown, unknown>;
  nodes: FieldNode[];
}

export interface QueryContext {
  schema: GraphQLSchema;
  fragments: ReadonlyMap<string, FragmentDefinitionNode>;
}

/**
 * What a query selects below a type, aliases and fragments resolved, in the order of first mention. A field that only
 * some of an interface's or union's types have is there for all of them, and NULL where it has no answer.
 */
export function collectFields(
  parent: GraphQLCompositeType,
  sets: readonly SelectionSetNode[],
  context: QueryContext,
  found = new Map<string, Selected>(),
): Map<string, Selected> {
  for (const { selections } of sets) {
    for (const selection of selections) {
      if (selection.kind === 'Field') {
        const name = selection.alias?.value ?? selection.name.value;
        const known = found.get(name);
        const definition = fieldOf(parent, selection.name.value);
        if (known !== undefined) known.nodes.push(selection);
        else if (definition !== undefined) found.set(name, { definition, nodes: [selection] });
        continue;
      }
      const fragment = selection.kind === 'InlineFragment' ? selection : context.fragments.get(selection.name.value);
      if (fragment === undefined) continue;
      const condition = fragment.typeCondition?.name.value;
      const type = condition === undefined ? parent : context.schema.getType(condition);
      if (isCompositeType(type)) collectFields(type, [fragment.selectionSet], context, found);
    }
  }
  return found;
}

function fieldOf(parent: GraphQLCompositeType, name: string): GraphQLField<unknown, unknown> | undefined {
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef;
  return isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
}

/** ID, String and enums are strings; Int, Float, Boolean themselves; Date and DateTime days and instants; any other scalar its text or JSON. */
export function shapeOf(
  type: GraphQLOutputType,
  nodes: readonly FieldNode[],
  context: QueryContext,
  path: readonly string[],
): Shape {
  const nullable = getNullableType(type);
  if (isListType(nullable)) {
    const element = shapeOf(nullable.ofType, nodes, context, path);
    return {
      type: { kind: 'list', element: element.type },
      read: nullOr((json) => {
        if (!Array.isArray(json)) throw wrong(path, 'a list');
        return json.map(element.read);
      }),
    };
  }
  if (isCompositeType(nullable)) return structOf(nullable, nodes, context, path);
  return scalarShape(isEnumType(nullable) ? 'String' : getNamedType(nullable).name, path, isScalarType(nullable));
}

function structOf(
  type: GraphQLCompositeType,
  nodes: readonly FieldNode[],
  context: QueryContext,
  path: readonly string[],
): Shape {
  const sets = nodes.flatMap(({ selectionSet }) => (selectionSet === undefined ? [] : [selectionSet]));
  return structShape(fieldShapes(collectFields(type, sets, context), context, path), path);
}

export interface NamedShape {
  field: Field;
  read(json: unknown): Value;
}

export function fieldShapes(
  selected: ReadonlyMap<string, Selected>,
  context: QueryContext,
  path: readonly string[],
): NamedShape[] {
  return [...selected].map(([name, { definition, nodes }]) => {
    const place = [...path, name];
    const { type, read } = shapeOf(definition.type, nodes, context, place);
    const field: Field = { name, type, required: false, origin: { kind: 'graph', path: place } };
    if (typeof definition.description === 'string') field.doc = definition.description;
    return { field, read };
  });
}

export function structShape(fields: readonly NamedShape[], path: readonly string[]): Shape {
  return {
    type: { kind: 'struct', fields: fields.map(({ field }) => field) },
    read: nullOr((json) => {
      if (typeof json !== 'object' || Array.isArray(json)) throw wrong(path, 'an object');
      return fields.map(({ field, read }) => read((json as Record<string, unknown>)[field.name]));
    }),
  };
}

function nullOr(read: (json: unknown) => Value): (json: unknown) => Value {
  return (json) => (json === null || json === undefined ? null : read(json));
}

function scalarShape(name: string, path: readonly string[], isCustom: boolean): Shape {
  const reader = (type: FieldType, what: string, accept: (json: unknown) => Value) => ({
    type,
    read: nullOr((json) => {
      const value = accept(json);
      if (value === null) throw wrong(path, what);
      return value;
    }),
  });
  switch (name) {
    case 'Int':
      return reader({ kind: 'int' }, 'a 32-bit integer', (json) => (isInt(json) ? json : null));
    case 'Float':
      return reader({ kind: 'double' }, 'a number', (json) =>
        json instanceof RawNumber ? Number(json.text) : asNumber(json),
      );
    case 'Boolean':
      return reader({ kind: 'boolean' }, 'true or false', (json) => (typeof json === 'boolean' ? json : null));
    case 'ID':
      return reader({ kind: 'string' }, 'an id', (json) =>
        json instanceof RawNumber
          ? json.text
          : typeof json === 'number' || typeof json === 'string'
            ? String(json)
            : null,
      );
    case 'Date':
      return reader({ kind: 'date' }, 'a date', (json) => (typeof json === 'string' ? parseDate(json) : null));
    case 'DateTime':
      return reader({ kind: 'timestamptz' }, 'a date and time', (json) =>
        typeof json === 'string' ? (parseTimestamp(json)?.micros ?? null) : null,
      );
    case 'String':
      return reader({ kind: 'string' }, 'a text', (json) => (typeof json === 'string' ? json : null));
    default:
      return reader({ kind: 'string' }, isCustom ? 'a value' : 'a text', jsonText);
  }
}

function asNumber(json: unknown): number | null {
  return typeof json === 'number' ? json : null;
}

function isInt(json: unknown): json is number {
  return typeof json === 'number' && json === (json | 0);
}

/** A text as it is; anything else as JSON, numbers with every digit that was sent. */
function jsonText(json: unknown): string {
  return typeof json === 'string' ? json : JSON.stringify(json);
}

function wrong(path: readonly string[], what: string): AnswerError {
  return new AnswerError(`The graph's answer at ${path.join('.')} is not ${what}.`);
}
