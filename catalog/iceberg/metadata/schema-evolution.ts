import { DailiesError } from '../../error.ts';
import { type Field, type FieldType, isNested, type Schema, typeName } from '../../schemas/schema.ts';
import { encodeDefault } from './default-values.ts';
import {
  compactName,
  type IcebergField,
  type IcebergMap,
  type IcebergSchema,
  type IcebergType,
  nestedFields,
} from './iceberg-schema.ts';
import type { FormatVersion } from './table-metadata.ts';

/*
 * How a table's schema follows that of its source (iceberg.apache.org/spec, Schema Evolution): every field keeps its id
 * wherever it goes and whatever it is called, so that files of any age are read by ids alone.
 */

/** What evolving needs to know of the table, and what it changes. */
export interface SchemaState {
  schema: IcebergSchema;
  lastColumnId: number;
}

/** A field that has another name now. Both are paths from the top, in the old and in the new schema, below one parent. */
export interface Rename {
  from: readonly string[];
  to: readonly string[];
}

export interface EvolutionRules {
  /** By default 2. Format 3 knows defaults, nanoseconds and more widenings. */
  formatVersion?: FormatVersion;
  /** Without a rename, a new name is a new field. */
  renames?: readonly Rename[];
  /** Top-level fields of the new schema that are new, although the old one has some of their names. */
  fresh?: readonly string[];
  /** Rows in the old schema stay for a while, and have no values of fields that get a new id: these are optional. */
  keepsRows?: boolean;
  /** Ids of the columns that the current partition spec and sort order are made of. */
  partitionSources?: ReadonlySet<number>;
}

/** A new table's schema: ids from 1, in field order, nested fields after their parent. */
export function createIcebergSchema(schema: Schema, rules: EvolutionRules = {}): SchemaState {
  return evolve({ schema: { type: 'struct', 'schema-id': -1, fields: [] }, lastColumnId: 0 }, schema, false, rules);
}

/**
 * The table's schema after it follows `next`: fields keep their ids by path or rename, also where they moved among their
 * siblings; new ones get new ids and are optional (old rows hold NULL there, or in format 3 their initial default); gone
 * ones leave and their ids are never used again; types widen and required fields become optional as the specification
 * allows. Throws `schema_incompatible` naming the column for any other change of type, and for a gone column that
 * partitions the table.
 */
export function evolveIcebergSchema(current: SchemaState, next: Schema, rules: EvolutionRules = {}): SchemaState {
  return evolve(current, next, false, rules);
}

/** The same for a table whose rows are all replaced: a field whose type changed beyond widening gets a new id. */
export function replaceIcebergSchema(current: SchemaState, next: Schema, rules: EvolutionRules = {}): SchemaState {
  return evolve(current, next, true, rules);
}

function evolve(current: SchemaState, next: Schema, isReplacing: boolean, rules: EvolutionRules): SchemaState {
  const isNew = current.lastColumnId === 0;
  const evolution: Evolution = {
    ids: { last: current.lastColumnId },
    isReplacing,
    canRequire: isNew || (isReplacing && rules.keepsRows !== true),
    formatVersion: rules.formatVersion ?? 2,
    renames: rules.renames ?? [],
    fresh: new Set(rules.fresh),
    partitionSources: rules.partitionSources ?? new Set(),
  };
  const fields = evolveFields(current.schema.fields, next.fields, evolution, [], []);
  checkRenames(evolution.renames, current.schema, next);
  checkPartitionSources(current.schema, fields, evolution.partitionSources);
  const keyFields = next.key.map((name) => fields.find((field) => field.name === name));
  const canIdentify = keyFields.every((field) => field?.required && canIdentifyRows(field.type));
  const identifiers = canIdentify ? keyFields.flatMap((field) => field?.id ?? []) : [];
  return {
    schema: {
      type: 'struct',
      'schema-id': current.schema['schema-id'] + 1,
      ...(identifiers.length > 0 ? { 'identifier-field-ids': identifiers } : {}),
      fields,
    },
    lastColumnId: evolution.ids.last,
  };
}

function canIdentifyRows(type: IcebergType): boolean {
  return typeof type === 'string' && type !== 'float' && type !== 'double';
}

interface Evolution {
  ids: { last: number };
  isReplacing: boolean;
  /** Whether a field without older rows may be required. */
  canRequire: boolean;
  formatVersion: FormatVersion;
  renames: readonly Rename[];
  fresh: ReadonlySet<string>;
  partitionSources: ReadonlySet<number>;
}

type Path = readonly string[];

function evolveFields(
  current: readonly IcebergField[],
  next: readonly Field[],
  evolution: Evolution,
  oldPath: Path,
  nextPath: Path,
): IcebergField[] {
  const renamed = evolution.renames.filter(({ from }) => isPath(from.slice(0, -1), oldPath));
  const taken = new Set(renamed.map(({ from }) => from.at(-1)));
  return next.map((field) => {
    const path = [...nextPath, field.name];
    if (nextPath.length === 0 && evolution.fresh.has(field.name)) return newField(field, evolution, path);
    const rename = renamed.find(({ to }) => isPath(to, path));
    const oldName = rename ? rename.from.at(-1) : taken.has(field.name) ? undefined : field.name;
    const old = current.find((candidate) => candidate.name === oldName);
    if (!old || (evolution.isReplacing && !canFollow(old.type, field.type, evolution, old.id))) {
      return newField(field, evolution, path);
    }
    const type = evolveType(old.type, field.type, evolution, [...oldPath, old.name], path, old.id);
    const isRequired = field.required && (old.required || (evolution.isReplacing && evolution.canRequire));
    const { doc: _doc, ...kept } = old;
    return {
      ...widenedDefaults(kept, type),
      name: field.name,
      required: isRequired,
      type,
      ...(field.doc === undefined ? {} : { doc: field.doc }),
    };
  });
}

function newField(field: Field, evolution: Evolution, path: Path): IcebergField {
  const id = ++evolution.ids.last;
  const hasDefault =
    evolution.formatVersion >= 3 &&
    !evolution.canRequire &&
    (field.initialDefault ?? null) !== null &&
    !isNested(field.type);
  const initialDefault = hasDefault ? encodeDefault(field.type, field.initialDefault ?? null) : null;
  return {
    id,
    name: field.name,
    required: field.required && (evolution.canRequire || hasDefault),
    type: newType(field.type, evolution, path),
    ...(field.doc === undefined ? {} : { doc: field.doc }),
    ...(hasDefault ? { 'initial-default': initialDefault, 'write-default': initialDefault } : {}),
  };
}

function evolveType(
  old: IcebergType,
  next: FieldType,
  evolution: Evolution,
  oldPath: Path,
  path: Path,
  id: number,
): IcebergType {
  if (typeof old === 'string') {
    if (canWiden(old, next, evolution, id))
      return isNested(next) ? newType(next, evolution, path) : primitiveName(next);
  } else if (old.type === 'struct' && next.kind === 'struct') {
    return { ...old, fields: evolveFields(old.fields, next.fields, evolution, oldPath, path) };
  } else if (old.type === 'list' && next.kind === 'list') {
    const element = evolveType(
      old.element,
      next.element,
      evolution,
      [...oldPath, 'element'],
      [...path, 'element'],
      old['element-id'],
    );
    return { ...old, element };
  } else if (old.type === 'map' && next.kind === 'map' && isSameType(old.key, next.key)) {
    const value = evolveType(
      old.value,
      next.value,
      evolution,
      [...oldPath, 'value'],
      [...path, 'value'],
      old['value-id'],
    );
    return { ...old, value };
  }
  const column = path.join('.');
  throw new DailiesError(
    'schema_incompatible',
    `Column "${column}" changed its type from ${icebergTypeName(old)} to ${typeName(next)}, which the rows already landed cannot follow. Take a new snapshot of its table.`,
    { details: { column, from: icebergTypeName(old), to: typeName(next) } },
  );
}

/** Whether a field of the old type may keep its id, nested fields being free to come and go. */
function canFollow(old: IcebergType, next: FieldType, evolution: Evolution, id: number): boolean {
  if (typeof old === 'string') return canWiden(old, next, evolution, id);
  switch (old.type) {
    case 'struct':
      return next.kind === 'struct';
    case 'list':
      return next.kind === 'list' && canFollow(old.element, next.element, evolution, old['element-id']);
    case 'map':
      return (
        next.kind === 'map' &&
        isSameType(old.key, next.key) &&
        canFollow(old.value, next.value, evolution, old['value-id'])
      );
  }
}

// The fields of a map's key never change: two keys could become one.
function isSameType(old: IcebergType, next: FieldType): boolean {
  if (typeof old === 'string') return !isNested(next) && compactName(old) === compactName(primitiveName(next));
  switch (old.type) {
    case 'struct':
      return (
        next.kind === 'struct' &&
        old.fields.length === next.fields.length &&
        old.fields.every((field, index) => {
          const twin = next.fields[index];
          return twin !== undefined && twin.name === field.name && isSameType(field.type, twin.type);
        })
      );
    case 'list':
      return next.kind === 'list' && isSameType(old.element, next.element);
    case 'map':
      return next.kind === 'map' && isSameType(old.key, next.key) && isSameType(old.value, next.value);
  }
}

/** Type promotion of the specification: int → long, float → double, a decimal's precision; in format 3 more of them. */
function canWiden(old: string, next: FieldType, evolution: Evolution, id: number): boolean {
  if (evolution.formatVersion >= 3 && old === 'unknown') return true;
  // An unknown column is read as texts, all NULL.
  if (old === 'unknown') return next.kind === 'string';
  if (isNested(next)) return false;
  if (compactName(old) === compactName(primitiveName(next))) return true;
  if (old === 'int' && next.kind === 'long') return true;
  if (old === 'float' && next.kind === 'double') return true;
  // Its partition values would be others.
  if (old === 'date' && (next.kind === 'timestamp' || next.kind === 'timestamp_ns')) {
    return evolution.formatVersion >= 3 && !evolution.partitionSources.has(id);
  }
  const from = /^decimal\((\d+),\s*(\d+)\)$/.exec(old);
  return (
    from !== null && next.kind === 'decimal' && Number(from[2]) === next.scale && Number(from[1]) <= next.precision
  );
}

// A default of a day, where the column holds instants by now.
function widenedDefaults<T extends Omit<IcebergField, 'doc'>>(field: T, type: IcebergType): T {
  if (field.type !== 'date' || type === 'date') return field;
  const widened = (value: unknown) =>
    typeof value === 'string' ? `${value}T00:00:00.${type === 'timestamp' ? '000000' : '000000000'}` : value;
  return {
    ...field,
    ...('initial-default' in field ? { 'initial-default': widened(field['initial-default']) } : {}),
    ...('write-default' in field ? { 'write-default': widened(field['write-default']) } : {}),
  };
}

function newType(type: FieldType, evolution: Evolution, path: Path): IcebergType {
  switch (type.kind) {
    case 'struct':
      return {
        type: 'struct',
        // Fields of a struct that is new have no older rows of their own.
        fields: type.fields.map((field) => ({
          ...newField(field, evolution, [...path, field.name]),
          required: field.required,
        })),
      };
    case 'list': {
      const id = ++evolution.ids.last;
      const element = newType(type.element, evolution, [...path, 'element']);
      return { type: 'list', 'element-id': id, element, 'element-required': false };
    }
    case 'map': {
      const keyId = ++evolution.ids.last;
      const valueId = ++evolution.ids.last;
      const key = newType(type.key, evolution, [...path, 'key']);
      const value = newType(type.value, evolution, [...path, 'value']);
      return {
        type: 'map',
        'key-id': keyId,
        key,
        'value-id': valueId,
        value,
        'value-required': false,
      } satisfies IcebergMap;
    }
    default:
      return checkedName(type, evolution, path);
  }
}

function checkedName(
  type: Exclude<FieldType, { kind: 'struct' | 'list' | 'map' }>,
  evolution: Evolution,
  path: Path,
): string {
  if (evolution.formatVersion < 3 && (type.kind === 'timestamp_ns' || type.kind === 'timestamptz_ns')) {
    throw new DailiesError(
      'type_unsupported',
      `Column "${path.join('.')}" holds nanoseconds, which tables have from format version 3 on. Set the table's formatVersion to 3.`,
    );
  }
  return primitiveName(type);
}

/** The name of a type without nested ones in schemas: `decimal(9, 2)`, `fixed[16]`. */
export function primitiveName(type: Exclude<FieldType, { kind: 'struct' | 'list' | 'map' }>): string {
  switch (type.kind) {
    case 'decimal':
      return `decimal(${type.precision}, ${type.scale})`;
    case 'fixed':
      return `fixed[${type.length}]`;
    default:
      return type.kind;
  }
}

function icebergTypeName(type: IcebergType): string {
  return typeof type === 'string' ? type : type.type;
}

function isPath(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}

// A rename that names nothing would be a drop and an add, which loses what the column holds.
function checkRenames(renames: readonly Rename[], current: IcebergSchema, next: Schema): void {
  for (const { from, to } of renames) {
    const hasOld = [...nestedFields(current.fields)].some((field) => isPath(field.path, from));
    if (hasOld && hasField(next.fields, to)) continue;
    throw new DailiesError(
      'invalid',
      `The rename of "${from.join('.')}" to "${to.join('.')}" names a column that is not there.`,
    );
  }
}

function hasField(fields: readonly Field[], path: Path): boolean {
  const [name, ...rest] = path;
  const field = fields.find((candidate) => candidate.name === name);
  if (!field) return false;
  return rest.length === 0 || hasFieldBelow(field.type, rest);
}

function hasFieldBelow(type: FieldType, path: Path): boolean {
  if (type.kind === 'struct') return hasField(type.fields, path);
  const [step, ...rest] = path;
  if (type.kind === 'list') return step === 'element' && hasFieldBelow(type.element, rest);
  if (type.kind === 'map') return (step === 'key' || step === 'value') && hasFieldBelow(type[step], rest);
  return false;
}

function checkPartitionSources(
  current: IcebergSchema,
  fields: readonly IcebergField[],
  sources: ReadonlySet<number>,
): void {
  if (sources.size === 0) return;
  const kept = new Set([...nestedFields(fields)].map((field) => field.id));
  for (const field of nestedFields(current.fields)) {
    if (!sources.has(field.id) || kept.has(field.id)) continue;
    const column = field.path.join('.');
    throw new DailiesError(
      'schema_incompatible',
      `Column "${column}" is gone, and the table is partitioned or sorted by it. Change the table's partitioning first.`,
      { details: { column } },
    );
  }
}
