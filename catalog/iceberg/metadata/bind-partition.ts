import { DailiesError } from '../../error.ts';
import { typeName } from '../../schemas/schema.ts';
import { nearestName } from '../../services/nearest-name.ts';
import { type IcebergSchema, type NestedField, nestedFields } from './iceberg-schema.ts';
import { fieldTypeOf } from './schema-conversion.ts';
import type { PartitionField, PartitionSpec } from './table-metadata.ts';
import { type Transform, transformName, transformResultType } from './transforms.ts';

/** One field of the partition that a definition asks for. */
export interface PartitionDefinition {
  /** As the definition has it: `month(released)`. */
  text: string;
  /** The column's name, names of structs before it joined with '.'. */
  column: string;
  transform: Transform;
}

/**
 * The fields of a partition spec of this schema; a field that the table has had before keeps its id. Throws
 * `definition_invalid` naming the column, with the nearest one where there is none, or the transform that its type does
 * not take.
 */
export function bindPartition(
  table: string,
  partition: readonly PartitionDefinition[],
  schema: IcebergSchema,
  specs: readonly PartitionSpec[],
  lastPartitionId: number,
): PartitionField[] {
  const columns = [...nestedFields(schema.fields)].filter((field) => field.isSingle);
  const known = specs.flatMap((spec) => spec.fields);
  const names = new Set<string>();
  let lastId = lastPartitionId;
  return partition.map((definition) => {
    const column = columnOf(table, definition, columns);
    checkTransform(table, definition, column);
    const transform = transformName(definition.transform);
    const old = known.find((field) => field['source-id'] === column.id && field.transform === transform);
    const name = fieldName(definition, schema, names);
    names.add(name);
    return { 'source-id': column.id, 'field-id': old?.['field-id'] ?? ++lastId, name, transform };
  });
}

function columnOf(table: string, { text, column }: PartitionDefinition, columns: readonly NestedField[]): NestedField {
  const found = columns.find((field) => field.path.join('.') === column);
  if (found) return found;
  const nearest = nearestName(
    column,
    columns.map((field) => field.path.join('.')),
  );
  throw new DailiesError(
    'definition_invalid',
    `The partition ${text} of ${table} names a column "${column}" that the table does not have.${
      nearest === null ? '' : ` Did you mean "${nearest}"?`
    }`,
    { details: { table, column, ...(nearest === null ? {} : { nearest }) } },
  );
}

function checkTransform(table: string, { text, column, transform }: PartitionDefinition, field: NestedField): void {
  const type = fieldTypeOf(field.type, column);
  if (transformResultType(transform, type)) return;
  const possible = (['identity', 'year', 'month', 'day', 'hour'] as const).filter((kind) =>
    transformResultType({ kind }, type),
  );
  const others = [
    ...possible.map((kind) => (kind === 'identity' ? column : `${kind}(${column})`)),
    ...(transformResultType({ kind: 'bucket', buckets: 16 }, type) ? [`bucket(16, ${column})`] : []),
    ...(transformResultType({ kind: 'truncate', width: 4 }, type) ? [`truncate(4, ${column})`] : []),
  ];
  throw new DailiesError(
    'definition_invalid',
    `The partition ${text} of ${table} cannot be made: "${column}" is ${typeName(type)}.${
      others.length === 0 ? '' : ` Possible are ${others.join(', ')}.`
    }`,
    { details: { table, column } },
  );
}

/** Named as Spark names them, with a number where a column or another field has the name. */
function fieldName({ column, transform }: PartitionDefinition, schema: IcebergSchema, taken: Set<string>): string {
  const path = column.replaceAll('.', '_');
  const base = nameOf(path, transform);
  // An identity field may share the name of its own column alone.
  const columns = new Set(schema.fields.map((field) => field.name).filter((name) => name !== column));
  if (transform.kind !== 'identity') columns.add(column);
  let name = base;
  for (let number = 2; taken.has(name) || columns.has(name); number++) name = `${base}_${number}`;
  return name;
}

function nameOf(path: string, transform: Transform): string {
  switch (transform.kind) {
    case 'identity':
      return path;
    case 'bucket':
      return `${path}_bucket_${transform.buckets}`;
    case 'truncate':
      return `${path}_trunc_${transform.width}`;
    case 'unknown':
      return `${path}_part`;
    default:
      return `${path}_${transform.kind}`;
  }
}
