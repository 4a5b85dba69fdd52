import { DailiesError } from '../../error.ts';
import { type FieldType, typeName } from '../../schemas/schema.ts';
import { type IcebergField, type IcebergSchema, nestedFields } from './iceberg-schema.ts';
import { fieldTypeOf } from './schema-conversion.ts';
import { type PartitionField, type PartitionSpec, schemaOf, type TableMetadata } from './table-metadata.ts';
import { parseTransform, type Transform, transformName, transformResultType } from './transforms.ts';

/** One field of a partition spec with its types: a partition tuple holds a value for each, in spec order. */
export interface PartitionColumn {
  /** Its id in manifests. */
  fieldId: number;
  name: string;
  transform: Transform;
  /** Field id of the column that it is made of. */
  sourceId: number;
  sourceType: FieldType;
  /** Of the partition values. */
  type: FieldType;
}

/** The spec with this id, by default the one that new files follow. Throws `table_corrupt` if there is none. */
export function partitionSpecOf(metadata: TableMetadata, specId = metadata['default-spec-id']): PartitionSpec {
  const spec = metadata['partition-specs'].find((candidate) => candidate['spec-id'] === specId);
  if (!spec) throw new DailiesError('table_corrupt', `${metadata.location} has no partition spec ${specId}.`);
  return spec;
}

/**
 * The fields of a partition spec with their types, in spec order; a column that was dropped has the type it had last.
 * Throws `table_corrupt` for a column that the table never had.
 */
export function partitionColumns(metadata: TableMetadata, specId = metadata['default-spec-id']): PartitionColumn[] {
  const spec = partitionSpecOf(metadata, specId);
  if (spec.fields.length === 0) return [];
  const others = [...metadata.schemas].sort((a, b) => b['schema-id'] - a['schema-id']);
  return spec.fields.map((field) => partitionColumn(field, [schemaOf(metadata), ...others]));
}

function partitionColumn(field: PartitionField, schemas: readonly IcebergSchema[]): PartitionColumn {
  const { 'source-id': sourceId, 'field-id': fieldId, name } = field;
  // Of several columns at once: for later specifications only.
  const isPlain = !Array.isArray(field['source-ids']) || field['source-ids'].length === 1;
  const transform: Transform = isPlain ? parseTransform(field.transform) : { kind: 'unknown', text: field.transform };
  const source = findField(schemas, sourceId);
  if (!source) {
    throw new DailiesError(
      'table_corrupt',
      `The partition field "${name}" is made of column ${sourceId}, which the table's schemas do not have.`,
    );
  }
  const sourceType = fieldTypeOf(source.type, source.name);
  const type = transformResultType(transform, sourceType);
  if (!type && transform.kind !== 'unknown') {
    throw new DailiesError(
      'table_corrupt',
      `The partition field "${name}" is ${transformName(transform)} of "${source.name}", which does not take ${typeName(sourceType)}.`,
    );
  }
  return { fieldId, name, transform, sourceId, sourceType, type: type ?? { kind: 'string' } };
}

function findField(schemas: readonly IcebergSchema[], id: number): Pick<IcebergField, 'name' | 'type'> | null {
  for (const schema of schemas) {
    for (const field of nestedFields(schema.fields)) {
      if (field.id === id) return { name: field.path.join('.'), type: field.type };
    }
  }
  return null;
}
