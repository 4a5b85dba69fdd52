import { DailiesError } from '../../error.ts';
import { typeName, type Value } from '../../schemas/schema.ts';
import type { PartitionColumn } from '../metadata/partition-spec.ts';
import { transformName } from '../metadata/transforms.ts';

/*
 * Partition tuples in manifests (iceberg.apache.org/spec, Appendix A): an Avro record of optional fields, each with the
 * field id of its partition field. They are read by the Avro schema that the file itself carries.
 */
type AvroSchema = unknown;

/** The Avro record of a partition tuple, named `r102` as in other writers' files. */
export function partitionAvroSchema(columns: readonly PartitionColumn[]): AvroSchema {
  const named = new Set<string>();
  return {
    type: 'record',
    name: 'r102',
    fields: columns.map((column) => ({
      name: avroName(column.name),
      type: ['null', avroType(column, named)],
      default: null,
      'field-id': column.fieldId,
    })),
  };
}

/** Letters, digits and underscores alone; others as `_x` and their code, as the reference implementation has it. */
function avroName(name: string): string {
  const text = [...name]
    .map((character) =>
      /[A-Za-z0-9_]/.test(character) ? character : `_x${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}`,
    )
    .join('');
  return /^\d/.test(text) || text === '' ? `_${text}` : text;
}

function avroType({ type, fieldId }: PartitionColumn, named: Set<string>): AvroSchema {
  switch (type.kind) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'float':
    case 'double':
    case 'string':
      return type.kind;
    case 'binary':
      return 'bytes';
    case 'date':
      return { type: 'int', logicalType: 'date' };
    case 'time':
      return { type: 'long', logicalType: 'time-micros' };
    case 'timestamp':
    case 'timestamptz':
      return { type: 'long', logicalType: 'timestamp-micros', 'adjust-to-utc': type.kind === 'timestamptz' };
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return { type: 'long', logicalType: 'timestamp-nanos', 'adjust-to-utc': type.kind === 'timestamptz_ns' };
    case 'fixed':
      return namedType(named, fieldId, { type: 'fixed', name: `fixed_${type.length}`, size: type.length });
    case 'uuid':
      return namedType(named, fieldId, { type: 'fixed', name: 'uuid_fixed', size: 16, logicalType: 'uuid' });
    case 'decimal':
      return namedType(named, fieldId, {
        type: 'fixed',
        name: `decimal_${type.precision}_${type.scale}`,
        size: decimalBytes(type.precision),
        logicalType: 'decimal',
        precision: type.precision,
        scale: type.scale,
      });
    case 'struct':
    case 'list':
    case 'map':
      throw new DailiesError('invalid', `A partition field cannot hold values of type ${typeName(type)}.`);
  }
}

// Avro defines a name once, and some readers do not know a type by its name alone: each field has a type of its own.
function namedType(
  named: Set<string>,
  fieldId: number,
  type: { name: string; [attribute: string]: unknown },
): AvroSchema {
  const name = named.has(type.name) ? `${type.name}_${fieldId}` : type.name;
  named.add(type.name);
  return { ...type, name };
}

/** The fewest bytes that hold every decimal of this precision. */
export function decimalBytes(precision: number): number {
  const most = 10n ** BigInt(precision) - 1n;
  let bytes = 1;
  while (BigInt.asIntN(bytes * 8, most) !== most) bytes += 1;
  return bytes;
}

/** A function from partition tuples to the values of `partitionAvroSchema`. */
export function partitionEncoder(columns: readonly PartitionColumn[]): (partition: readonly Value[]) => unknown {
  const fields = columns.map((column) => ({ name: avroName(column.name), column }));
  return (partition) => {
    if (partition.length !== columns.length) {
      throw new DailiesError(
        'internal',
        `A data file has ${partition.length} partition values where its spec has ${columns.length} fields.`,
      );
    }
    return Object.fromEntries(
      fields.map(({ name, column }, index) => [name, toAvro(column, partition[index] ?? null)]),
    );
  };
}

function toAvro(column: PartitionColumn, value: Value): unknown {
  if (value === null) return null;
  if (column.transform.kind === 'unknown') {
    throw new DailiesError(
      'unsupported',
      `The partition transform "${transformName(column.transform)}" is not known here; let the engine that set it write the table.`,
    );
  }
  switch (column.type.kind) {
    // An int that was widened since.
    case 'long':
      return BigInt(value as number | bigint);
    case 'binary':
    case 'fixed':
      return Buffer.from(value as Uint8Array);
    case 'uuid':
      return Buffer.from((value as string).replaceAll('-', ''), 'hex');
    case 'decimal': {
      const size = decimalBytes(column.type.precision);
      const hex = BigInt.asUintN(size * 8, value as bigint).toString(16);
      return Buffer.from(hex.padStart(size * 2, '0'), 'hex');
    }
    default:
      return value;
  }
}

/** One field of a partition tuple as a manifest's own Avro schema has it. */
interface AvroPartitionField {
  fieldId: number;
  name: string;
  read(value: unknown): Value;
}

/** How to read the partition tuples of a manifest, from the Avro schema of its `partition` field. */
export function partitionFields(record: AvroSchema): AvroPartitionField[] {
  const fields = (record as { fields?: unknown })?.fields;
  if (!Array.isArray(fields)) return [];
  const named = new Map<string, AvroSchema>();
  return fields.map((field: { name: string; type: unknown; 'field-id': number }) => {
    const options: AvroSchema[] = Array.isArray(field.type) ? field.type : [field.type];
    const read = reader(
      options.find((option) => option !== 'null'),
      named,
    );
    return {
      fieldId: field['field-id'],
      name: field.name,
      read: (value) => (value === null || value === undefined ? null : read(value)),
    };
  });
}

function reader(schema: AvroSchema, named: Map<string, AvroSchema>): (value: unknown) => Value {
  const type = typeof schema === 'string' ? (named.get(schema) ?? { type: schema }) : schema;
  const { type: kind, logicalType, name } = type as { type: unknown; logicalType?: string; name?: string };
  if (name !== undefined) named.set(name, type);
  if (kind === 'fixed' || kind === 'bytes') {
    if (logicalType === 'decimal') return (value) => decimalOf(value as Uint8Array);
    if (logicalType === 'uuid') return (value) => uuidOf(value as Uint8Array);
    return (value) => Uint8Array.from(value as Uint8Array);
  }
  return (value) => value as Value;
}

function decimalOf(bytes: Uint8Array): bigint {
  const hex = Buffer.from(bytes).toString('hex');
  return hex === '' ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`));
}

function uuidOf(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
