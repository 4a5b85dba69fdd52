import { z } from 'zod';
import { DailiesError } from '../error.ts';
import { ByteCache } from './byte-cache.ts';
import { parseJson, printJson } from './json.ts';
import { readBytes } from './storage.ts';

/** Integers of the specification's `long`, kept as bigint whatever their size. */
const int64 = z.union([z.int(), z.bigint()]).transform((value) => BigInt(value));

export type IcebergType = string | IcebergStruct | IcebergList | IcebergMap;
export interface IcebergStruct {
  type: 'struct';
  fields: IcebergField[];
}
interface IcebergList {
  type: 'list';
  'element-id': number;
  element: IcebergType;
  'element-required': boolean;
}
interface IcebergMap {
  type: 'map';
  'key-id': number;
  key: IcebergType;
  'value-id': number;
  value: IcebergType;
  'value-required': boolean;
}
export interface IcebergField {
  id: number;
  name: string;
  required: boolean;
  type: IcebergType;
  doc?: string | undefined;
}

const icebergType: z.ZodType<IcebergType> = z.lazy(() =>
  z.union([
    z.string(),
    z.object({ type: z.literal('struct'), fields: z.array(icebergField) }),
    z.object({
      type: z.literal('list'),
      'element-id': z.int(),
      element: icebergType,
      'element-required': z.boolean(),
    }),
    z.object({
      type: z.literal('map'),
      'key-id': z.int(),
      key: icebergType,
      'value-id': z.int(),
      value: icebergType,
      'value-required': z.boolean(),
    }),
  ]),
);

const icebergField: z.ZodType<IcebergField> = z.lazy(() =>
  z.object({
    id: z.int(),
    name: z.string(),
    required: z.boolean(),
    type: icebergType,
    doc: z.string().optional(),
  }),
);

export const icebergSchema = z.object({
  type: z.literal('struct'),
  'schema-id': z.int(),
  'identifier-field-ids': z.array(z.int()).optional(),
  fields: z.array(icebergField),
});
export type IcebergSchema = z.infer<typeof icebergSchema>;

export const snapshotRecord = z.looseObject({
  'snapshot-id': int64,
  'parent-snapshot-id': int64.nullish(),
  'sequence-number': int64,
  'timestamp-ms': z.int(),
  'manifest-list': z.string(),
  summary: z.record(z.string(), z.string()),
  'schema-id': z.int().optional(),
});
export type Snapshot = z.infer<typeof snapshotRecord>;

const partitionSpec = z.looseObject({ 'spec-id': z.int(), fields: z.array(z.looseObject({})) });

/** Table Metadata of the specification, format version 2. Unknown optional fields are kept. */
const tableMetadata = z.looseObject({
  'format-version': z.literal(2),
  'table-uuid': z.string(),
  location: z.string(),
  'last-sequence-number': int64,
  'last-updated-ms': z.int(),
  'last-column-id': z.int(),
  schemas: z.array(icebergSchema),
  'current-schema-id': z.int(),
  'partition-specs': z.array(partitionSpec),
  'default-spec-id': z.int(),
  'last-partition-id': z.int(),
  properties: z.record(z.string(), z.string()).default({}),
  'current-snapshot-id': int64.nullish(),
  snapshots: z.array(snapshotRecord).default([]),
  'snapshot-log': z.array(z.object({ 'timestamp-ms': z.int(), 'snapshot-id': int64 })).default([]),
  'metadata-log': z.array(z.object({ 'timestamp-ms': z.int(), 'metadata-file': z.string() })).default([]),
  'sort-orders': z.array(z.looseObject({})).default([]),
  'default-sort-order-id': z.int().default(0),
  refs: z.record(z.string(), z.looseObject({ 'snapshot-id': int64, type: z.string() })).default({}),
});
export type TableMetadata = z.infer<typeof tableMetadata>;

const cache = new ByteCache<TableMetadata>(32 << 20);

/** The parsed metadata file. Throws `table_corrupt` where it is gone, torn or not format version 2. The answer is shared: never change it. */
export async function readTableMetadata(location: string): Promise<TableMetadata> {
  const cached = cache.get(location);
  if (cached) return cached;
  const text = await readMetadataText(location);
  const metadata = parseTableMetadata(text, location);
  cache.set(location, metadata, text.length * 4);
  return metadata;
}

/** Puts metadata that was just written into the cache, so that nobody has to parse it. */
export function rememberTableMetadata(location: string, metadata: TableMetadata, textLength: number): void {
  cache.set(location, metadata, textLength * 4);
}

export async function readMetadataText(location: string): Promise<string> {
  try {
    return (await readBytes(location)).toString();
  } catch (thrown) {
    if (thrown instanceof DailiesError) throw thrown;
    throw new DailiesError('table_corrupt', `The table's metadata file ${location} cannot be read.`, { cause: thrown });
  }
}

export function parseTableMetadata(text: string, location: string): TableMetadata {
  let json: unknown;
  try {
    json = parseJson(text);
  } catch (thrown) {
    throw new DailiesError('table_corrupt', `The table's metadata file ${location} is not whole JSON.`, {
      cause: thrown,
    });
  }
  const version = typeof json === 'object' && json !== null && 'format-version' in json ? json['format-version'] : null;
  if (version !== 2) {
    throw new DailiesError('table_corrupt', `${location} has format version ${version}; only 2 can be read.`);
  }
  const parsed = tableMetadata.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new DailiesError(
      'table_corrupt',
      `${location} is not a valid table metadata file: ${issue?.path.join('.')} ${issue?.message}`,
      { cause: parsed.error },
    );
  }
  return parsed.data;
}

// Snapshots and log entries never change: each is printed once, however often the metadata is written.
const printed = new WeakMap<object, string>();

export function printTableMetadata(metadata: TableMetadata): string {
  const { snapshots, 'snapshot-log': log, ...rest } = metadata;
  const head = printJson(rest).slice(0, -1);
  return `${head},"snapshots":[${printList(snapshots)}],"snapshot-log":[${printList(log)}]}`;
}

function printList(items: readonly object[]): string {
  return items
    .map((item) => {
      const known = printed.get(item);
      if (known !== undefined) return known;
      const text = printJson(item);
      printed.set(item, text);
      return text;
    })
    .join();
}

/** The schema with this id, by default the current one. */
export function schemaOf(metadata: TableMetadata, schemaId = metadata['current-schema-id']): IcebergSchema {
  const schema = metadata.schemas.find((candidate) => candidate['schema-id'] === schemaId);
  if (!schema) throw new DailiesError('table_corrupt', `${metadata.location} has no schema ${schemaId}.`);
  return schema;
}

export function snapshotById(metadata: TableMetadata, id: bigint): Snapshot | null {
  return metadata.snapshots.find((candidate) => candidate['snapshot-id'] === id) ?? null;
}

export function currentSnapshot(metadata: TableMetadata): Snapshot | null {
  const id = metadata['current-snapshot-id'];
  // Some writers put -1 where there is none.
  if (id === null || id === undefined || id === -1n) return null;
  const found = snapshotById(metadata, id);
  if (!found) throw new DailiesError('table_corrupt', `${metadata.location} lacks its current snapshot ${id}.`);
  return found;
}

/** The snapshot and those before it, newest first, as far as they are kept. */
export function* ancestors(metadata: TableMetadata, from = currentSnapshot(metadata)): Generator<Snapshot> {
  for (let at = from; at; ) {
    yield at;
    const parent = at['parent-snapshot-id'];
    at = parent === null || parent === undefined ? null : snapshotById(metadata, parent);
  }
}

/** Rows that the snapshot holds: each position delete removes exactly one. */
export function liveRows(at: Snapshot | null): bigint {
  if (!at) return 0n;
  return BigInt(at.summary['total-records'] ?? '0') - BigInt(at.summary['total-position-deletes'] ?? '0');
}
