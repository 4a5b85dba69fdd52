import type { Prisma } from '#prisma/generated/client.ts';
import { type Field, type FieldType, type Schema, typeName } from '../../schemas/schema.ts';
import type { IcebergField, IcebergSchema, IcebergType } from '../metadata/table-metadata.ts';

/** What the catalog's pages show of a table, as of one commit. */
interface TableRecord {
  /** namespace.table */
  name: string;
  pipeline: string;
  owner: string | null;
  /** source.schema.table */
  source: string;
  schema: Schema;
  iceberg: IcebergSchema;
  rows: bigint;
  snapshotId: bigint;
  freshAsOf: Date | null;
  committedAt: Date;
  /** False where nothing but the files has changed. */
  hasNewRows: boolean;
  /** True where the columns may differ from those recorded. */
  hasNewColumns: boolean;
}

/** Keeps the table's rows of DataTable and DataColumn; a column's meaning is its comment at the source. */
export async function recordTable(tx: Prisma.TransactionClient, record: TableRecord): Promise<void> {
  const data = {
    pipeline: record.pipeline,
    sources: [record.source],
    key: [...record.schema.key],
    rows: record.rows,
    snapshotId: record.snapshotId,
    ...(record.freshAsOf ? { freshAsOf: record.freshAsOf } : {}),
    ...(record.hasNewRows || record.hasNewColumns ? { changedAt: record.committedAt } : {}),
  };
  await tx.dataTable.upsert({
    where: { name: record.name },
    create: { name: record.name, ownerEmail: record.owner, ...data },
    update: data,
  });
  if (record.hasNewColumns) {
    await writeColumns(tx, record.name, [...columnsOf(record.schema.fields, record.iceberg.fields, record)]);
  }
}

/** Makes the columns known of a table these, in their order. */
export async function writeColumns(
  tx: Prisma.TransactionClient,
  tableName: string,
  columns: readonly ColumnRecord[],
): Promise<void> {
  await tx.dataColumn.deleteMany({
    where: { tableName, fieldId: { notIn: columns.map((column) => column.fieldId) } },
  });
  for (const [ordinal, column] of columns.entries()) {
    const data = { ...column, ordinal };
    await tx.dataColumn.upsert({
      where: { tableName_fieldId: { tableName, fieldId: column.fieldId } },
      create: { tableName, ...data },
      update: data,
    });
  }
}

export interface ColumnRecord {
  fieldId: number;
  /** Dotted for a nested field. */
  path: string;
  type: string;
  required: boolean;
  isKey: boolean;
  description: string | null;
  origin: string | null;
}

function* columnsOf(
  fields: readonly Field[],
  iceberg: readonly IcebergField[],
  record: TableRecord,
  prefix = '',
): Generator<ColumnRecord> {
  for (const [index, field] of fields.entries()) {
    const twin = iceberg[index];
    if (!twin) continue;
    const path = prefix === '' ? field.name : `${prefix}.${field.name}`;
    yield {
      fieldId: twin.id,
      path,
      type: typeName(field.type),
      required: twin.required,
      isKey: prefix === '' && record.schema.key.includes(field.name),
      description: field.doc ?? null,
      origin: originOf(field, path, record.source),
    };
    const nested = structOf(field.type, twin.type);
    if (nested) yield* columnsOf(nested.fields, nested.iceberg, record, path);
  }
}

function originOf(field: Field, path: string, source: string): string {
  switch (field.origin?.kind) {
    case 'graph':
      return `${field.origin.path.join('.')} of the graph`;
    case 'column':
      return [source, ...field.origin.path].join('.');
    case undefined:
      return `${source}.${path}`;
  }
}

/** The fields of a struct, also of one in lists or in the values of maps. */
function structOf(
  type: FieldType,
  iceberg: IcebergType,
): { fields: readonly Field[]; iceberg: readonly IcebergField[] } | null {
  if (typeof iceberg === 'string') return null;
  if (type.kind === 'list' && iceberg.type === 'list') return structOf(type.element, iceberg.element);
  if (type.kind === 'map' && iceberg.type === 'map') return structOf(type.value, iceberg.value);
  if (type.kind === 'struct' && iceberg.type === 'struct') return { fields: type.fields, iceberg: iceberg.fields };
  return null;
}
