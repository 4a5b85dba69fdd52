import { DailiesError } from '#catalog/error.ts';
import {
  type Field,
  type FieldOrigin,
  type FieldType,
  type Schema,
  UNKNOWN,
  type Value,
} from '#catalog/schemas/schema.ts';
import { suggestion } from './expression/refusal.ts';

/** Takes the value at `from` and puts it at `to`; both are names from the top of the row down. */
export interface Selection {
  from: readonly string[];
  to: readonly string[];
}

/** One field of the output: its shape, and how its value comes from the value of the input's field at `index`. */
export interface SelectedField {
  index: number;
  field: Field;
  /** True where the value is the input's as it is. */
  isWhole: boolean;
  take(value: Value | typeof UNKNOWN): Value | typeof UNKNOWN;
}

/**
 * The fields that these selections make, in the order in which each is first named. Paths go through structs and the
 * structs of lists; what is kept under its own path keeps its nesting. Throws `schema_incompatible` naming a field that is
 * not there, `definition_invalid` where two selections contradict each other.
 */
export function selectFields(schema: Schema, selections: readonly Selection[], table: string): SelectedField[] {
  const groups = groupBy(selections, ({ to }) => to[0] ?? '');
  return [...groups].map(([name, group]) => {
    const [first] = group;
    const input = first?.from[0] ?? '';
    for (const { from } of group)
      if (from[0] !== input)
        throw invalid(`"${name}" cannot be put together from "${input}" and "${from[0]}": give them different names.`);
    const index = schema.fields.findIndex((field) => field.name === input);
    const source = schema.fields[index];
    if (source === undefined) throw missing(first?.from ?? [], 0, schema.fields, table);
    const context = { path: [input], origin: source.origin, table };
    const node = select(
      source.type,
      group.map(({ from, to }) => ({ from: from.slice(1), to: to.slice(1) })),
      context,
    );
    const origin = node.origin ?? (input === name ? source.origin : originOf(context));
    const field: Field = { name, type: node.type, required: source.required && !node.isBelow };
    if (source.doc !== undefined && !node.isBelow) field.doc = source.doc;
    if (origin !== undefined) field.origin = origin;
    // Under a name of the step's own it stays what it is, whatever the source calls it.
    if (source.formerName !== undefined && node.take === same && input === name) field.formerName = source.formerName;
    return {
      index,
      field,
      isWhole: node.take === same,
      take: (value) => (value === UNKNOWN ? value : node.take(value)),
    };
  });
}

interface Node {
  type: FieldType;
  take(value: Value): Value;
  /** True where it lies below the field, so that a NULL above makes it NULL. */
  isBelow: boolean;
  origin: FieldOrigin | undefined;
}

interface Context {
  /** How far down the input this stands. */
  path: readonly string[];
  origin: FieldOrigin | undefined;
  table: string;
}

const same = (value: Value): Value => value;

function select(type: FieldType, selections: readonly Selection[], context: Context): Node {
  const [first] = selections;
  if (first === undefined) throw invalid('Nothing is selected.');
  if (selections.some(({ to }) => to.length === 0)) {
    if (selections.length > 1) throw invalid(`"${context.path.join('.')}" is selected twice, or whole and in part.`);
    return descend(type, first.from, context);
  }
  if (type.kind === 'list') {
    const element = select(type.element, selections, context);
    const take = (value: Value) => (value === null ? null : (value as Value[]).map((item) => element.take(item)));
    return { ...element, type: { kind: 'list', element: element.type }, take };
  }
  const children = [...groupBy(selections, ({ to }) => to[0] ?? '')].map(([name, group]) =>
    selectChild(type, name, group, context),
  );
  const fields = children.map(({ field }) => field);
  const take = (value: Value) => (value === null ? null : children.map((child) => child.take(value)));
  return { type: { kind: 'struct', fields }, take, isBelow: false, origin: undefined };
}

function selectChild(type: FieldType, name: string, group: readonly Selection[], context: Context) {
  const below = group[0]?.from[0];
  if (group.some(({ from }) => from[0] !== below))
    throw invalid(`"${name}" cannot be put together from several fields of "${context.path.join('.')}".`);
  const rest = (selections: readonly Selection[], depth: number) =>
    selections.map(({ from, to }) => ({ from: from.slice(depth), to: to.slice(1) }));
  if (below === undefined) {
    const node = select(type, rest(group, 0), context);
    return { field: { name, type: node.type, required: false } satisfies Field, take: node.take };
  }
  const { inner, place } = innerField(type, group[0]?.from ?? [], context);
  const node = select(inner.type, rest(group, 1), { ...context, path: [...context.path, below] });
  const field: Field = { ...inner, name, type: node.type, required: inner.required && !node.isBelow };
  return { field, take: (value: Value) => node.take((value as Value[])[place] ?? null) };
}

/** The value at the end of `path`, through structs; through a list it is the list of its elements' values. */
function descend(type: FieldType, path: readonly string[], context: Context): Node {
  const [name, ...rest] = path;
  if (name === undefined) return { type, take: same, isBelow: false, origin: undefined };
  if (type.kind === 'list') {
    const element = descend(type.element, path, context);
    const take = (value: Value) => (value === null ? null : (value as Value[]).map((item) => element.take(item)));
    return { ...element, type: { kind: 'list', element: element.type }, take };
  }
  const { inner, place } = innerField(type, path, context);
  const below = { ...context, path: [...context.path, name], origin: inner.origin ?? context.origin };
  const node = descend(inner.type, rest, below);
  const take = (value: Value) => (value === null ? null : node.take((value as Value[])[place] ?? null));
  return { type: node.type, take, isBelow: true, origin: node.origin ?? inner.origin ?? originOf(below) };
}

function innerField(type: FieldType, path: readonly string[], context: Context): { inner: Field; place: number } {
  const fields = type.kind === 'struct' ? type.fields : [];
  const place = fields.findIndex((field) => field.name === path[0]);
  const inner = fields[place];
  if (inner === undefined) throw missing([...context.path, ...path], context.path.length, fields, context.table);
  return { inner, place };
}

function originOf({ path, origin }: Context): FieldOrigin {
  if (origin === undefined) return { kind: 'column', path };
  return origin.kind === 'graph' ? origin : { kind: 'column', path: [...origin.path, ...path.slice(1)] };
}

function missing(path: readonly string[], depth: number, known: readonly Field[], table: string): DailiesError {
  const renamed = known.find(({ formerName }) => formerName === path[depth]);
  const hint = renamed
    ? ` any more (the source calls it "${renamed.name}" now)`
    : suggestion(
        path[depth] ?? '',
        known.map(({ name }) => name),
      );
  const field = path.join('.');
  return new DailiesError('schema_incompatible', `${table} has no field "${field}"${hint}, which this step consumes.`, {
    details: { table, field },
  });
}

export function invalid(message: string): DailiesError {
  return new DailiesError('definition_invalid', message);
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
