import fc from 'fast-check';
import type { IcebergSchema } from '#catalog/iceberg/metadata/iceberg-schema.ts';
import type { Rename } from '#catalog/iceberg/metadata/schema-evolution.ts';
import { type Field, type FieldType, isNested, type Schema } from '#catalog/schemas/schema.ts';
import { primitives } from './typed-values.ts';

/** A field of a schema in the making: what it is called and of what type may change, but it stays the same field. */
export interface Node {
  token: number;
  name: string;
  required: boolean;
  type: NodeType;
}
export type NodeType =
  | { kind: 'primitive'; type: FieldType }
  | { kind: 'struct'; fields: Node[] }
  | { kind: 'list'; element: NodeType }
  | { kind: 'map'; value: NodeType };

/** What happens to a schema; `at` chooses where, of whatever is there. */
export type Edit =
  | { kind: 'add'; at: number; type: FieldType }
  | { kind: 'drop' | 'rename' | 'reorder' | 'widen' | 'make-optional'; at: number };

/** Types of any depth that tables of format 2 have. */
export const nested: fc.Arbitrary<FieldType> = fc.letrec<{ type: FieldType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    primitives.filter((type) => type.kind !== 'timestamp_ns' && type.kind !== 'timestamptz_ns'),
    fc.array(tie('type'), { minLength: 1, maxLength: 3 }).map(
      (types): FieldType => ({
        kind: 'struct',
        fields: types.map((type, index) => ({ name: `f${index}`, type, required: index === 0 })),
      }),
    ),
    tie('type').map((element): FieldType => ({ kind: 'list', element })),
    tie('type').map((value): FieldType => ({ kind: 'map', key: { kind: 'string' }, value })),
  ),
})).type;

export const edits: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), at: fc.nat(1000), type: nested }),
  fc.record({
    kind: fc.constantFrom(
      'drop' as const,
      'rename' as const,
      'reorder' as const,
      'widen' as const,
      'make-optional' as const,
    ),
    at: fc.nat(1000),
  }),
);

/** A schema that changes in steps, with the truth about which field is which. */
export class SchemaHistory {
  readonly root: Node[] = [];
  #tokens = 0;
  #renames: Rename[] = [];

  constructor(types: readonly FieldType[]) {
    types.forEach((type, index) => {
      this.root.push(this.#node(`c${index}`, type, index % 2 === 0));
    });
  }

  /** Does all edits as one change of the schema; returns the fields that had another name before. */
  change(edits: readonly Edit[]): readonly Rename[] {
    const before = new Map(this.#places().map(({ node, path }) => [node.token, path]));
    const touched = new Set<number>();
    for (const edit of edits) this.#apply(edit, touched);
    this.#renames = this.#places().flatMap(({ node, path }) => {
      const old = before.get(node.token);
      return old && old.at(-1) !== node.name ? [{ from: old, to: path }] : [];
    });
    return this.#renames;
  }

  #apply(edit: Edit, touched: Set<number>): void {
    const structs = this.#structs();
    const fields = structs[edit.at % structs.length] ?? this.root;
    if (edit.kind === 'add') {
      const added = this.#node(`n${this.#tokens}`, edit.type, false);
      fields.splice(edit.at % (fields.length + 1), 0, added);
      // It takes no other field's name: where that one is dropped, too, nothing could tell the two apart.
      touched.add(added.token);
      return;
    }
    if (edit.kind === 'reorder') {
      fields.reverse();
      return;
    }
    const places = this.#places();
    const { node, siblings } = places[edit.at % places.length] ?? {};
    if (!node || !siblings) return;
    switch (edit.kind) {
      case 'drop':
        if (siblings.length > 1) siblings.splice(siblings.indexOf(node), 1);
        return;
      case 'rename': {
        // Now and then two fields change names with each other.
        const other = siblings[edit.at % siblings.length];
        if (edit.at % 3 === 0 && other && !touched.has(other.token) && !touched.has(node.token)) {
          [node.name, other.name] = [other.name, node.name];
          touched.add(other.token);
        } else if (!touched.has(node.token)) node.name = `r${this.#tokens++}`;
        touched.add(node.token);
        return;
      }
      case 'widen':
        node.type = widened(node.type);
        return;
      case 'make-optional':
        node.required = false;
    }
  }

  schema(): Schema {
    return { fields: this.root.map(fieldOf), key: [] };
  }

  /** Each field's path with its token. */
  tokens(): Map<string, number> {
    return new Map(this.#places().map(({ node, path }) => [path.join('.'), node.token]));
  }

  #node(name: string, type: FieldType, required: boolean): Node {
    return { token: this.#tokens++, name, required, type: this.#nodeType(type) };
  }

  #nodeType(type: FieldType): NodeType {
    switch (type.kind) {
      case 'struct':
        return {
          kind: 'struct',
          fields: type.fields.map((field) => this.#node(field.name, field.type, field.required)),
        };
      case 'list':
        return { kind: 'list', element: this.#nodeType(type.element) };
      case 'map':
        return { kind: 'map', value: this.#nodeType(type.value) };
      default:
        return { kind: 'primitive', type };
    }
  }

  #places(fields = this.root, path: readonly string[] = []): { node: Node; siblings: Node[]; path: string[] }[] {
    return fields.flatMap((node) => [
      { node, siblings: fields, path: [...path, node.name] },
      ...this.#placesBelow(node.type, [...path, node.name]),
    ]);
  }

  #placesBelow(type: NodeType, path: readonly string[]): { node: Node; siblings: Node[]; path: string[] }[] {
    switch (type.kind) {
      case 'primitive':
        return [];
      case 'struct':
        return this.#places(type.fields, path);
      case 'list':
        return this.#placesBelow(type.element, [...path, 'element']);
      case 'map':
        return this.#placesBelow(type.value, [...path, 'value']);
    }
  }

  #structs(): Node[][] {
    return [...new Set([this.root, ...this.#places().map(({ siblings }) => siblings)])];
  }
}

function fieldOf(node: Node): Field {
  return { name: node.name, type: typeOf(node.type), required: node.required };
}

function typeOf(type: NodeType): FieldType {
  switch (type.kind) {
    case 'primitive':
      return type.type;
    case 'struct':
      return { kind: 'struct', fields: type.fields.map(fieldOf) };
    case 'list':
      return { kind: 'list', element: typeOf(type.element) };
    case 'map':
      return { kind: 'map', key: { kind: 'string' }, value: typeOf(type.value) };
  }
}

function widened(type: NodeType): NodeType {
  if (type.kind === 'list') return { kind: 'list', element: widened(type.element) };
  if (type.kind === 'map') return { kind: 'map', value: widened(type.value) };
  if (type.kind === 'struct') return type;
  const old = type.type;
  if (old.kind === 'int') return { kind: 'primitive', type: { kind: 'long' } };
  if (old.kind === 'float') return { kind: 'primitive', type: { kind: 'double' } };
  if (old.kind === 'decimal' && old.precision < 38) {
    return { kind: 'primitive', type: { ...old, precision: old.precision + 1 } };
  }
  return type;
}

/** Each field's path with its id. */
export function idsOf(schema: IcebergSchema): Map<string, number> {
  const ids = new Map<string, number>();
  const visit = (fields: IcebergSchema['fields'], path: readonly string[]): void => {
    for (const field of fields) {
      ids.set([...path, field.name].join('.'), field.id);
      below(field.type, [...path, field.name]);
    }
  };
  const below = (type: IcebergSchema['fields'][number]['type'], path: readonly string[]): void => {
    if (typeof type === 'string') return;
    if (type.type === 'struct') visit(type.fields, path);
    else if (type.type === 'list') below(type.element, [...path, 'element']);
    else below(type.value, [...path, 'value']);
  };
  visit(schema.fields, []);
  return ids;
}

/** The type with every field optional: what a reader sees where a new field cannot be required. */
export function allOptional(type: FieldType): FieldType {
  if (!isNested(type)) return type;
  switch (type.kind) {
    case 'struct':
      return {
        kind: 'struct',
        fields: type.fields.map((field) => ({ ...field, required: false, type: allOptional(field.type) })),
      };
    case 'list':
      return { kind: 'list', element: allOptional(type.element) };
    case 'map':
      return { kind: 'map', key: type.key, value: allOptional(type.value) };
  }
}
