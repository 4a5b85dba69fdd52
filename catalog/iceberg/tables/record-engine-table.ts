import type { Prisma } from '#prisma/generated/client.ts';
import type { Principal } from '../../access/principal.ts';
import { nestedFields } from '../metadata/iceberg-schema.ts';
import { currentSnapshot, liveRows, schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import { type ColumnRecord, writeColumns } from './record-table.ts';
import type { TableEntry } from './table-catalog.ts';

/**
 * Keeps what the catalog's pages show of a table that engines write, as of one commit. Whoever made it owns it; people may
 * have given it a title or another owner since.
 */
export async function recordEngineTable(
  tx: Prisma.TransactionClient,
  name: string,
  entry: TableEntry,
  before: TableEntry | null,
  who: Principal,
): Promise<void> {
  const { metadata } = entry;
  const snapshot = currentSnapshot(metadata);
  const schema = schemaOf(metadata);
  const isSameSchema = before !== null && schemaOf(before.metadata) === schema;
  const isSameData = before !== null && currentSnapshot(before.metadata) === snapshot;
  const identifiers = new Set(schema['identifier-field-ids'] ?? []);
  const data = {
    key: schema.fields.filter((field) => identifiers.has(field.id)).map((field) => field.name),
    rows: liveRows(snapshot),
    snapshotId: snapshot?.['snapshot-id'] ?? null,
    ...(isSameSchema && isSameData ? {} : { changedAt: new Date(metadata['last-updated-ms']) }),
  };
  const known = await tx.dataTable.findUnique({ where: { name }, select: { name: true } });
  await tx.dataTable.upsert({
    where: { name },
    create: { name, ownerEmail: who.kind === 'person' ? who.email : null, ...data },
    update: data,
  });
  if (known === null || !isSameSchema) await writeColumns(tx, name, [...columnsOf(metadata)]);
}

function* columnsOf(metadata: TableMetadata): Generator<ColumnRecord> {
  const schema = schemaOf(metadata);
  const identifiers = new Set(schema['identifier-field-ids'] ?? []);
  const docs = new Map(schema.fields.map((field) => [field.id, field.doc]));
  for (const field of nestedFields(schema.fields)) {
    // What lists and maps are of is part of their type.
    if (!field.isSingle) continue;
    yield {
      fieldId: field.id,
      path: field.path.join('.'),
      type: typeof field.type === 'string' ? field.type : field.type.type,
      required: field.required,
      isKey: identifiers.has(field.id),
      description: docs.get(field.id) ?? null,
      origin: null,
    };
  }
}
