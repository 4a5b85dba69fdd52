import { isDeepStrictEqual } from 'node:util';
import { DailiesError } from '../../error.ts';
import type { Schema } from '../../schemas/schema.ts';
import { applyUpdates } from '../metadata/apply-updates.ts';
import { bindPartition, type PartitionDefinition } from '../metadata/bind-partition.ts';
import { nestedFields, sameIcebergSchema } from '../metadata/iceberg-schema.ts';
import { schemaProperties } from '../metadata/schema-conversion.ts';
import {
  createIcebergSchema,
  evolveIcebergSchema,
  type Rename,
  replaceIcebergSchema,
  type SchemaState,
} from '../metadata/schema-evolution.ts';
import { type FormatVersion, type PartitionField, schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import type { TableUpdate } from '../metadata/table-updates.ts';
import { newTableProperties } from './new-table.ts';
import type { TableBase } from './snapshot-builder.ts';

/** What the definition asks of a table; null leaves as it is what the table has. */
export interface TableDefinition {
  formatVersion: 2 | 3 | null;
  partition: readonly PartitionDefinition[] | null;
  /** Table properties that the table is given; others stay as they are. */
  properties?: Readonly<Record<string, string>>;
  /** Table properties that are taken out. */
  removedProperties?: readonly string[];
}

/** What became of columns beyond what their names tell. */
export interface MovedColumns {
  renames: readonly Rename[];
  /** Columns that are new although there were some of their names: what these hold goes. */
  fresh: readonly string[];
  /**
   * All rows come anew: a column whose type they cannot follow is a new one, and lacks their values until they have come.
   * Otherwise such a type is refused.
   */
  isReadAgain: boolean;
}

/** What a commit changes of a table beside its files, and the metadata that this leads to. */
export interface TableChange {
  updates: TableUpdate[];
  metadata: TableMetadata;
}

/**
 * The updates that bring a table to a schema and to its definition, or that make it; empty where it is there already.
 * Throws `definition_invalid` for a partition that the schema does not allow, or for a format version that is lower than
 * the table's.
 */
export function tableChange(
  base: TableBase,
  state: SchemaState,
  schema: Schema,
  definition: TableDefinition,
  nowMs: number,
): TableChange {
  const current = base.entry?.metadata ?? null;
  const updates: TableUpdate[] = current ? [] : creation(base, definition);
  if (current) updates.push(...upgrade(base.name, current, definition));
  if (!current || !sameIcebergSchema(schemaOf(current), state.schema)) {
    updates.push(
      { action: 'add-schema', schema: state.schema, 'last-column-id': state.lastColumnId },
      { action: 'set-current-schema', 'schema-id': -1 },
    );
  }
  const spec = partitionFields(base.name, state, current, definition);
  if (spec) {
    updates.push({ action: 'add-spec', spec: { fields: spec } }, { action: 'set-default-spec', 'spec-id': -1 });
  }
  if (!current) {
    updates.push(
      { action: 'add-sort-order', 'sort-order': { 'order-id': 0, fields: [] } },
      { action: 'set-default-sort-order', 'sort-order-id': -1 },
    );
  }
  const properties = schemaProperties(schema, state.schema, current?.properties ?? {});
  const asked = { ...(current ? {} : newTableProperties), ...definition.properties, ...properties };
  const missing = Object.entries(asked).filter(([key, value]) => current?.properties[key] !== value);
  if (missing.length > 0) updates.push({ action: 'set-properties', updates: Object.fromEntries(missing) });
  const removals = (definition.removedProperties ?? []).filter((key) => current?.properties[key] !== undefined);
  if (removals.length > 0) updates.push({ action: 'remove-properties', removals });
  return { updates, metadata: applyUpdates(current, updates, nowMs) };
}

/** The table's schema after its rows, old ones too, follow `next`. Throws `schema_incompatible` naming the column. */
export function evolvedState(
  state: SchemaState,
  next: Schema,
  current: TableMetadata | null,
  definition: TableDefinition,
  { renames, fresh, isReadAgain }: MovedColumns,
): SchemaState {
  const rules = { ...evolutionRules(state, current, definition), renames, fresh };
  if (state.lastColumnId === 0) return createIcebergSchema(next, rules);
  try {
    return evolveIcebergSchema(state, next, rules);
  } catch (thrown) {
    if (!isReadAgain || !(thrown instanceof DailiesError) || thrown.code !== 'schema_incompatible') throw thrown;
    const { formatVersion } = rules;
    return replaceIcebergSchema(state, next, { formatVersion, renames, fresh, keepsRows: true });
  }
}

/** The table's schema once all of its rows are written anew: no column is bound to the partitions that there were. */
export function replacedState(
  state: SchemaState,
  next: Schema,
  current: TableMetadata | null,
  definition: TableDefinition,
): SchemaState {
  const { formatVersion } = evolutionRules(state, current, definition);
  return state.lastColumnId === 0
    ? createIcebergSchema(next, { formatVersion })
    : replaceIcebergSchema(state, next, { formatVersion });
}

/** How the table's schema may follow a new one, with what the definition asks of the table. */
function evolutionRules(
  state: SchemaState,
  current: TableMetadata | null,
  { formatVersion, partition }: TableDefinition,
): { formatVersion: FormatVersion; partitionSources: ReadonlySet<number> } {
  const spec = current?.['partition-specs'].find((each) => each['spec-id'] === current['default-spec-id']);
  const columns = new Set(partition?.map(({ column }) => column));
  const sources = partition
    ? [...nestedFields(state.schema.fields)].filter((field) => columns.has(field.path.join('.'))).map(({ id }) => id)
    : // The column of a field without values may go.
      (spec?.fields ?? []).filter((field) => field.transform !== 'void').map((field) => field['source-id']);
  const order = current?.['sort-orders'].find((each) => each['order-id'] === current['default-sort-order-id']);
  const sorted = (order?.fields ?? []).map((field) => field['source-id']);
  return {
    formatVersion: formatVersion ?? current?.['format-version'] ?? 2,
    partitionSources: new Set([...sources, ...sorted]),
  };
}

function creation(base: TableBase, definition: TableDefinition): TableUpdate[] {
  return [
    { action: 'assign-uuid', uuid: base.uuid },
    { action: 'upgrade-format-version', 'format-version': definition.formatVersion ?? 2 },
    { action: 'set-location', location: base.location },
  ];
}

function upgrade(name: string, current: TableMetadata, { formatVersion }: TableDefinition): TableUpdate[] {
  const version = current['format-version'];
  // Sequence numbers and delete files came with version 2: tables of the first one are written as the second.
  const wanted = formatVersion ?? Math.max(version, 2);
  if (wanted === version) return [];
  if (wanted < version) {
    throw new DailiesError(
      'definition_invalid',
      `${name} has format version ${version}, which cannot be lowered to ${wanted}. Set formatVersion to ${version}, or let the rows land in a table of another name.`,
      { details: { table: name } },
    );
  }
  return [{ action: 'upgrade-format-version', 'format-version': wanted }];
}

/** The fields of a spec that the table does not follow yet; null if it does. */
function partitionFields(
  name: string,
  state: SchemaState,
  current: TableMetadata | null,
  { partition }: TableDefinition,
): PartitionField[] | null {
  const specs = current?.['partition-specs'] ?? [];
  const followed = specs.find((spec) => spec['spec-id'] === current?.['default-spec-id'])?.fields ?? null;
  if (!partition) return followed ? null : [];
  const fields = bindPartition(name, partition, state.schema, specs, current?.['last-partition-id'] ?? 999);
  const shape = (field: PartitionField) => [field['source-id'], field.transform, field['field-id']];
  return followed && isDeepStrictEqual(followed.map(shape), fields.map(shape)) ? null : fields;
}
