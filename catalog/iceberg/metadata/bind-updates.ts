import { isDeepStrictEqual } from 'node:util';
import { DailiesError } from '../../error.ts';
import { nestedFields } from './iceberg-schema.ts';
import type { MetadataDraft } from './metadata-draft.ts';
import type { PartitionField, PartitionSpec, SortOrder, TableMetadata } from './table-metadata.ts';
import type { UnboundPartitionSpec, UnboundSortOrder } from './table-updates.ts';

/** Adds a spec, or finds the one that is the same; its fields keep the ids that they have in other specs. */
export function addPartitionSpec(draft: MetadataDraft, spec: UnboundPartitionSpec): void {
  const { metadata } = draft;
  const fields = bindFields(metadata, spec);
  const same = metadata['partition-specs'].find((known) => isSameSpec(known.fields, fields));
  if (same) {
    draft.lastSpecId = same['spec-id'];
    return;
  }
  const id = nextId(
    metadata['partition-specs'].map((known) => known['spec-id']),
    0,
  );
  const added: PartitionSpec = { 'spec-id': id, fields };
  metadata['partition-specs'] = [...metadata['partition-specs'], added];
  metadata['last-partition-id'] = Math.max(metadata['last-partition-id'], ...fields.map((field) => field['field-id']));
  draft.lastSpecId = id;
}

function bindFields(metadata: TableMetadata, spec: UnboundPartitionSpec): PartitionField[] {
  const known = metadata['partition-specs'].flatMap((other) => other.fields);
  const columns = columnIds(metadata);
  const names = new Set<string>();
  let last = metadata['last-partition-id'];
  return spec.fields.map((field) => {
    const sourceId = sourceOf(field, columns, `partition field "${field.name}"`, field.transform);
    if (names.has(field.name)) throw new DailiesError('invalid', `There are two partition fields "${field.name}".`);
    names.add(field.name);
    const bound = { ...field, 'source-id': sourceId };
    const old = known.find((other) => isSameField(other, { ...bound, 'field-id': other['field-id'] }));
    const fieldId = field['field-id'] ?? old?.['field-id'] ?? ++last;
    return { ...bound, 'field-id': fieldId };
  });
}

/** Adds a sort order, or finds the one that is the same; 0 is always the table without an order. */
export function addSortOrder(draft: MetadataDraft, order: UnboundSortOrder): void {
  const { metadata } = draft;
  const columns = columnIds(metadata);
  const fields = order.fields.map((field) => ({
    ...field,
    'source-id': sourceOf(field, columns, 'sort order', field.transform),
  }));
  const same = metadata['sort-orders'].find((known) => isDeepStrictEqual(known.fields, fields));
  if (same) {
    draft.lastSortOrderId = same['order-id'];
    return;
  }
  const id =
    fields.length === 0
      ? 0
      : nextId(
          metadata['sort-orders'].map((known) => known['order-id']),
          1,
        );
  const added: SortOrder = { 'order-id': id, fields };
  metadata['sort-orders'] = [...metadata['sort-orders'], added];
  draft.lastSortOrderId = id;
}

function sourceOf(
  field: { 'source-id'?: number | undefined; 'source-ids'?: number[] | undefined },
  columns: ReadonlySet<number>,
  what: string,
  transform: string,
): number {
  const ids = field['source-ids'] ?? (field['source-id'] === undefined ? [] : [field['source-id']]);
  const [first] = ids;
  if (first === undefined) throw new DailiesError('invalid', `The ${what} names no column: it lacks source-id.`);
  // The column of a void field may be gone.
  const missing = transform === 'void' ? undefined : ids.find((id) => !columns.has(id));
  if (missing !== undefined) {
    throw new DailiesError('invalid', `Cannot find source column for ${what}: there is no field ${missing}.`);
  }
  return first;
}

function columnIds(metadata: TableMetadata): Set<number> {
  const ids = new Set<number>();
  for (const schema of metadata.schemas) for (const field of nestedFields(schema.fields)) ids.add(field.id);
  return ids;
}

function isSameSpec(left: readonly PartitionField[], right: readonly PartitionField[]): boolean {
  return (
    left.length === right.length &&
    left.every((field, index) => {
      const other = right[index];
      return other !== undefined && field.name === other.name && isSameField(field, other);
    })
  );
}

/** The same field may be renamed: its values are the same. */
function isSameField(left: PartitionField, right: PartitionField): boolean {
  return (
    left['field-id'] === right['field-id'] &&
    left.transform === right.transform &&
    left['source-id'] === right['source-id'] &&
    isDeepStrictEqual(left['source-ids'], right['source-ids'])
  );
}

function nextId(used: readonly number[], first: number): number {
  return Math.max(first - 1, ...used) + 1;
}
