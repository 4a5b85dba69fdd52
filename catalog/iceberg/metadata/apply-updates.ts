import { isDeepStrictEqual } from 'node:util';
import { DailiesError } from '../../error.ts';
import { addPartitionSpec, addSortOrder } from './bind-updates.ts';
import { checkIcebergSchema, highestFieldId } from './check-schema.ts';
import type { IcebergSchema } from './iceberg-schema.ts';
import type { MetadataDraft } from './metadata-draft.ts';
import { applyPlaceUpdate } from './property-changes.ts';
import { addSnapshot, removeRef, removeSnapshots, setRef } from './snapshot-updates.ts';
import type { TableMetadata } from './table-metadata.ts';
import type { TableUpdate } from './table-updates.ts';

/**
 * The table's metadata after the updates, in their order; `base` is null for a table that they make, which must be given
 * a uuid, a location and a schema. Pure: `base` stays as it is, and what did not change is shared with it. `metadata-log`
 * is the catalog's to write. Throws `invalid` for an update that makes no sense for this table, and `commit_conflict` for
 * a snapshot that was prepared before another one came.
 */
export function applyUpdates(
  base: TableMetadata | null,
  updates: readonly TableUpdate[],
  nowMs: number,
): TableMetadata {
  if (base !== null && updates.length === 0) return base;
  const draft: MetadataDraft = {
    metadata: { ...(base ?? emptyMetadata()) },
    nowMs: Math.max(nowMs, base?.['last-updated-ms'] ?? 0),
    lastSchemaId: null,
    lastSpecId: null,
    lastSortOrderId: null,
    addedSnapshots: new Set(),
    passedSnapshots: new Set(),
  };
  draft.metadata['last-updated-ms'] = draft.nowMs;
  for (const update of updates) apply(draft, update);
  if (draft.passedSnapshots.size > 0) {
    draft.metadata['snapshot-log'] = draft.metadata['snapshot-log'].filter(
      (entry) => !draft.passedSnapshots.has(entry['snapshot-id']),
    );
  }
  if (base === null) checkWhole(draft.metadata);
  return draft.metadata;
}

function apply(draft: MetadataDraft, update: TableUpdate): void {
  const { metadata } = draft;
  switch (update.action) {
    case 'assign-uuid':
      assignUuid(metadata, update.uuid);
      return;
    case 'upgrade-format-version':
      upgrade(metadata, update['format-version']);
      return;
    case 'add-schema':
      addSchema(draft, update.schema);
      return;
    case 'set-current-schema':
      metadata['current-schema-id'] = chosen(
        'schema',
        update['schema-id'],
        draft.lastSchemaId,
        metadata.schemas.map((schema) => schema['schema-id']),
      );
      return;
    case 'add-spec':
      addPartitionSpec(draft, update.spec);
      return;
    case 'set-default-spec':
      metadata['default-spec-id'] = chosen(
        'partition spec',
        update['spec-id'],
        draft.lastSpecId,
        metadata['partition-specs'].map((spec) => spec['spec-id']),
      );
      return;
    case 'add-sort-order':
      addSortOrder(draft, update['sort-order']);
      return;
    case 'set-default-sort-order':
      metadata['default-sort-order-id'] = chosen(
        'sort order',
        update['sort-order-id'],
        draft.lastSortOrderId,
        metadata['sort-orders'].map((order) => order['order-id']),
      );
      return;
    case 'add-snapshot':
      addSnapshot(draft, update.snapshot);
      return;
    case 'set-snapshot-ref':
      setRef(draft, update);
      return;
    case 'remove-snapshots':
      removeSnapshots(draft, update['snapshot-ids']);
      return;
    case 'remove-snapshot-ref':
      removeRef(draft, update['ref-name']);
      return;
    case 'set-location':
    case 'set-properties':
    case 'remove-properties':
      applyPlaceUpdate(metadata, update);
      return;
    case 'remove-schemas':
      removeSchemas(metadata, update['schema-ids']);
      return;
    case 'remove-partition-specs':
      removePartitionSpecs(metadata, update['spec-ids']);
      return;
    case 'set-statistics':
    case 'remove-statistics':
    case 'set-partition-statistics':
    case 'remove-partition-statistics':
      updateStatistics(metadata, update);
      return;
    case 'add-encryption-key': {
      const key = update['encryption-key'];
      const others = (metadata['encryption-keys'] ?? []).filter((known) => known['key-id'] !== key['key-id']);
      metadata['encryption-keys'] = [...others, key];
      return;
    }
    case 'remove-encryption-key':
      metadata['encryption-keys'] = (metadata['encryption-keys'] ?? []).filter(
        (known) => known['key-id'] !== update['key-id'],
      );
      return;
  }
}

function assignUuid(metadata: TableMetadata, uuid: string): void {
  const current = metadata['table-uuid'];
  if (current !== '' && current.toLowerCase() !== uuid.toLowerCase()) {
    throw invalid(`Cannot reassign uuid: the table has ${current}.`);
  }
  metadata['table-uuid'] = uuid;
}

function upgrade(metadata: TableMetadata, version: number): void {
  if (version !== 1 && version !== 2 && version !== 3) {
    throw invalid(`Cannot upgrade table to unsupported format version: v${version} (supported: v3)`);
  }
  // A table in the making begins with whatever version it is given first.
  const isNew = metadata['current-schema-id'] === -1;
  if (version < metadata['format-version'] && !isNew) {
    throw invalid(`Cannot downgrade v${metadata['format-version']} table to v${version}`);
  }
  metadata['format-version'] = version;
  if (version === 3) metadata['next-row-id'] ??= 0n;
}

function addSchema(draft: MetadataDraft, schema: IcebergSchema): void {
  const { metadata } = draft;
  checkIcebergSchema(schema, metadata['format-version']);
  metadata['last-column-id'] = Math.max(metadata['last-column-id'], highestFieldId(schema));
  const same = metadata.schemas.find((known) => isSameSchema(known, schema));
  if (same) {
    draft.lastSchemaId = same['schema-id'];
    return;
  }
  const id = Math.max(-1, ...metadata.schemas.map((known) => known['schema-id'])) + 1;
  metadata.schemas = [...metadata.schemas, { ...schema, 'schema-id': id }];
  draft.lastSchemaId = id;
}

function isSameSchema(left: IcebergSchema, right: IcebergSchema): boolean {
  return (
    isDeepStrictEqual(left.fields, right.fields) &&
    isDeepStrictEqual(left['identifier-field-ids'] ?? [], right['identifier-field-ids'] ?? [])
  );
}

/** The id that an update chooses: one that is there, -1 the one added last. */
function chosen(what: string, id: number, last: number | null, known: readonly number[]): number {
  if (id === -1) {
    if (last === null) throw invalid(`Cannot set last added ${what}: no ${what} has been added`);
    return last;
  }
  if (!known.includes(id)) throw invalid(`Cannot set current ${what} to unknown ${what}: ${id}`);
  return id;
}

function removeSchemas(metadata: TableMetadata, ids: readonly number[]): void {
  if (ids.includes(metadata['current-schema-id'])) throw invalid('Cannot remove the current schema');
  metadata.schemas = metadata.schemas.filter((schema) => !ids.includes(schema['schema-id']));
}

function removePartitionSpecs(metadata: TableMetadata, ids: readonly number[]): void {
  if (ids.includes(metadata['default-spec-id'])) throw invalid('Cannot remove the default partition spec');
  metadata['partition-specs'] = metadata['partition-specs'].filter((spec) => !ids.includes(spec['spec-id']));
}

type StatisticsAction =
  | 'set-statistics'
  | 'remove-statistics'
  | 'set-partition-statistics'
  | 'remove-partition-statistics';

function updateStatistics(metadata: TableMetadata, update: TableUpdate & { action: StatisticsAction }): void {
  switch (update.action) {
    case 'set-statistics':
      metadata.statistics = [
        ...withoutSnapshot(metadata.statistics, update.statistics['snapshot-id']),
        update.statistics,
      ];
      return;
    case 'remove-statistics':
      metadata.statistics = withoutSnapshot(metadata.statistics, update['snapshot-id']);
      return;
    case 'set-partition-statistics': {
      const file = update['partition-statistics'];
      metadata['partition-statistics'] = [
        ...withoutSnapshot(metadata['partition-statistics'], file['snapshot-id']),
        file,
      ];
      return;
    }
    case 'remove-partition-statistics':
      metadata['partition-statistics'] = withoutSnapshot(metadata['partition-statistics'], update['snapshot-id']);
      return;
  }
}

function withoutSnapshot<File extends { 'snapshot-id': bigint }>(files: File[] | undefined, id: bigint): File[] {
  return (files ?? []).filter((file) => file['snapshot-id'] !== id);
}

function emptyMetadata(): TableMetadata {
  return {
    'format-version': 2,
    'table-uuid': '',
    location: '',
    'last-sequence-number': 0n,
    'last-updated-ms': 0,
    'last-column-id': 0,
    schemas: [],
    'current-schema-id': -1,
    'partition-specs': [],
    'default-spec-id': -1,
    'last-partition-id': 999,
    properties: {},
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [],
    'sort-orders': [],
    'default-sort-order-id': -1,
    refs: {},
  };
}

function checkWhole(metadata: TableMetadata): void {
  const lacking =
    metadata['table-uuid'] === ''
      ? 'assign-uuid'
      : metadata.location === ''
        ? 'set-location'
        : metadata['current-schema-id'] === -1
          ? 'set-current-schema'
          : null;
  if (lacking !== null) throw invalid(`A commit that makes a table must have an update ${lacking}.`);
  // What a table is without when nobody has said otherwise: neither partitioned nor sorted.
  if (metadata['default-spec-id'] === -1) {
    const id = Math.max(-1, ...metadata['partition-specs'].map((spec) => spec['spec-id'])) + 1;
    metadata['partition-specs'] = [...metadata['partition-specs'], { 'spec-id': id, fields: [] }];
    metadata['default-spec-id'] = id;
  }
  if (metadata['default-sort-order-id'] === -1) {
    const orders = metadata['sort-orders'].filter((order) => order['order-id'] !== 0);
    metadata['sort-orders'] = [...orders, { 'order-id': 0, fields: [] }];
    metadata['default-sort-order-id'] = 0;
  }
}

function invalid(message: string): DailiesError {
  return new DailiesError('invalid', message);
}
