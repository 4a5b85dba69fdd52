import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { ByteCache } from '../manifests/byte-cache.ts';
import { readBytes } from '../storage.ts';
import { gzipOf, type Piece, packPiece } from './gzip-pieces.ts';
import { type IcebergSchema, icebergSchema } from './iceberg-schema.ts';
import { parseJson, printJson } from './json.ts';
import { cutMetadata } from './metadata-text.ts';
import { downgradeMetadata, upgradeMetadata } from './metadata-versions.ts';

export type { IcebergField, IcebergSchema, IcebergType } from './iceberg-schema.ts';
export { icebergSchema };

/** Integers of the specification's `long`, kept as bigint whatever their size. */
export const int64 = z.union([z.int(), z.bigint()]).transform((value) => BigInt(value));

/** A snapshot (spec, Snapshots). Those of format 1 have sequence number 0. */
export const snapshotRecord = z.looseObject({
  'snapshot-id': int64,
  'parent-snapshot-id': int64.nullish(),
  'sequence-number': int64.default(0n),
  'timestamp-ms': z.int(),
  'manifest-list': z.string(),
  summary: z.record(z.string(), z.string()).default({}),
  'schema-id': z.int().optional(),
  /** Format 3: the first row id given to rows of this snapshot, and how many were given. */
  'first-row-id': int64.nullish(),
  'added-rows': int64.nullish(),
  /** Format 3: the key that encrypts the manifest list. */
  'key-id': z.string().nullish(),
});
export type Snapshot = z.infer<typeof snapshotRecord>;

const partitionField = z.looseObject({
  /** The column, or the first of several where `source-ids` names them. */
  'source-id': z.int(),
  'field-id': z.int(),
  name: z.string(),
  transform: z.string(),
});
export type PartitionField = z.infer<typeof partitionField>;

export const partitionSpec = z.looseObject({ 'spec-id': z.int(), fields: z.array(partitionField) });
export type PartitionSpec = z.infer<typeof partitionSpec>;

const sortField = z.looseObject({
  'source-id': z.int(),
  transform: z.string(),
  direction: z.enum(['asc', 'desc']),
  'null-order': z.enum(['nulls-first', 'nulls-last']),
});

export const sortOrder = z.looseObject({ 'order-id': z.int(), fields: z.array(sortField) });
export type SortOrder = z.infer<typeof sortOrder>;

/** A branch or tag (spec, Snapshot References), with how long it and its snapshots are kept. */
export const snapshotRef = z.looseObject({
  'snapshot-id': int64,
  type: z.enum(['branch', 'tag']),
  'min-snapshots-to-keep': z.int().nullish(),
  'max-snapshot-age-ms': int64.nullish(),
  'max-ref-age-ms': int64.nullish(),
});
export type SnapshotRef = z.infer<typeof snapshotRef>;

const blobMetadata = z.looseObject({
  type: z.string(),
  'snapshot-id': int64,
  'sequence-number': int64,
  fields: z.array(z.int()),
  properties: z.record(z.string(), z.string()).nullish(),
});

/** Statistics of a snapshot in a Puffin file; their sizes are in bytes. */
export const statisticsFile = z.looseObject({
  'snapshot-id': int64,
  'statistics-path': z.string(),
  'file-size-in-bytes': int64,
  'file-footer-size-in-bytes': int64,
  'blob-metadata': z.array(blobMetadata),
});

export const partitionStatisticsFile = z.looseObject({
  'snapshot-id': int64,
  'statistics-path': z.string(),
  'file-size-in-bytes': int64,
});

export const encryptedKey = z.looseObject({ 'key-id': z.string(), 'encrypted-key-metadata': z.string() });

const logEntry = z.object({ 'timestamp-ms': z.int(), 'snapshot-id': int64 });

/** Table Metadata of the specification, in the shape of format 2 and 3. Unknown optional fields are kept. */
const tableMetadata = z.looseObject({
  'format-version': z.union([z.literal(1), z.literal(2), z.literal(3)]),
  'table-uuid': z.string(),
  location: z.string(),
  'last-sequence-number': int64,
  'last-updated-ms': z.int(),
  'last-column-id': z.int(),
  schemas: z.array(icebergSchema).min(1),
  'current-schema-id': z.int(),
  'partition-specs': z.array(partitionSpec).min(1),
  'default-spec-id': z.int(),
  'last-partition-id': z.int(),
  properties: z.record(z.string(), z.string()).default({}),
  'current-snapshot-id': int64.nullish(),
  snapshots: z.array(snapshotRecord).default([]),
  'snapshot-log': z.array(logEntry).default([]),
  'metadata-log': z.array(z.object({ 'timestamp-ms': z.int(), 'metadata-file': z.string() })).default([]),
  'sort-orders': z.array(sortOrder).default([]),
  'default-sort-order-id': z.int().default(0),
  refs: z.record(z.string(), snapshotRef).default({}),
  statistics: z.array(statisticsFile).optional(),
  'partition-statistics': z.array(partitionStatisticsFile).optional(),
  /** Format 3: the id that the next row without one gets. */
  'next-row-id': int64.optional(),
  'encryption-keys': z.array(encryptedKey).optional(),
});
export type TableMetadata = z.infer<typeof tableMetadata>;
export type FormatVersion = TableMetadata['format-version'];

const cache = new ByteCache<TableMetadata>(32 << 20);

// Snapshots and log entries never change: each is printed once, however often the metadata is written.
const printed = new WeakMap<object, string>();

/** What a packed metadata file may unpack to. */
const maxMetadataBytes = 1 << 30;

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

/** The metadata file's JSON, unpacked where it is gzip. Throws `table_corrupt` where it is gone or torn. */
export async function readMetadataText(location: string): Promise<string> {
  try {
    return decodeMetadataFile(await readBytes(location), location);
  } catch (thrown) {
    if (thrown instanceof DailiesError && thrown.code !== 'not_found') throw thrown;
    throw new DailiesError('table_corrupt', `The table's metadata file ${location} cannot be read.`, { cause: thrown });
  }
}

function decodeMetadataFile(bytes: Buffer, location: string): string {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.toString();
  try {
    return gunzipSync(bytes, { maxOutputLength: maxMetadataBytes }).toString();
  } catch (thrown) {
    throw new DailiesError('table_corrupt', `The table's metadata file ${location} is torn: it does not unpack.`, {
      cause: thrown,
    });
  }
}

/** Beyond this many characters metadata is packed by itself: a table of many snapshots writes it anew with each commit. */
const packedLength = 64 << 10;
const packedSuffix = '.gz.metadata.json';
/** Snapshots, and log entries, are packed in groups of about as many: a commit packs the newest group anew, and others only where some went. A prime, for commits at regular times. */
const groupItems = 61;

/** What to write as a metadata file, and how its name ends: gzip as `write.metadata.compression-codec` says, else where it is long. */
export function encodeMetadataFile(metadata: TableMetadata): { bytes: Buffer; suffix: string; textLength: number } {
  const codec = metadata.properties['write.metadata.compression-codec']?.toLowerCase();
  if ((codec === undefined || codec === 'gzip') && metadata.snapshots.length > 2 * groupItems) {
    const pieces = packMetadata(metadata);
    const textLength = pieces.reduce((sum, piece) => sum + piece.length, 0);
    return { bytes: gzipOf(pieces), suffix: packedSuffix, textLength };
  }
  const text = printTableMetadata(metadata);
  const isPacked = codec === undefined ? text.length > packedLength : codec === 'gzip';
  return {
    bytes: isPacked ? gzipSync(text, { level: 1 }) : Buffer.from(text),
    suffix: isPacked ? packedSuffix : '.metadata.json',
    textLength: text.length,
  };
}

/**
 * Metadata of format 1, 2 or 3, its ids checked. Throws `table_corrupt` for what is torn or not valid, `unsupported` for
 * later formats.
 */
export function parseTableMetadata(text: string, location: string): TableMetadata {
  const cut = cutMetadata(text);
  const json = parseText(cut?.rest ?? text, location);
  // Format 1 is upgraded as a whole.
  if (!cut || !isAtLeast(json, 2)) return checkTableMetadata(cut ? parseText(text, location) : json, location);
  const metadata = validMetadata(json, location);
  metadata.snapshots = cut.snapshots.map((each) => shared(each, 'snapshots', location));
  metadata['snapshot-log'] = cut.log.map((each) => shared(each, 'snapshot-log', location));
  checkMetadata(metadata, location);
  return metadata;
}

function parseText(text: string, location: string): unknown {
  try {
    return parseJson(text);
  } catch (thrown) {
    throw new DailiesError('table_corrupt', `The table's metadata file ${location} is not whole JSON.`, {
      cause: thrown,
    });
  }
}

function isAtLeast(json: unknown, version: number): boolean {
  const found = typeof json === 'object' && json !== null && 'format-version' in json ? json['format-version'] : null;
  return typeof found === 'number' && found >= version;
}

const elements = { snapshots: snapshotRecord, 'snapshot-log': logEntry };
type Elements = { [List in keyof typeof elements]: z.infer<(typeof elements)[List]> };

/** By their text: snapshots and log entries are the same from one metadata file to the next. */
const known = new ByteCache<object>(48 << 20);

function shared<List extends keyof Elements>(text: string, list: List, location: string): Elements[List] {
  const found = known.get(text);
  if (found) return found as Elements[List];
  const parsed = elements[list].safeParse(parseText(text, location));
  if (!parsed.success) throw invalid(parsed.error, list, location);
  // A copy: a part of the file's text would keep all of it in memory.
  const key = Buffer.from(text).toString();
  known.set(key, parsed.data, key.length * 3 + 200);
  printed.set(parsed.data, key);
  return parsed.data as Elements[List];
}

function invalid(error: z.ZodError, path: string, location: string): DailiesError {
  const issue = error.issues[0];
  const place = [path, ...(issue?.path ?? [])].filter((part) => part !== '').join('.');
  return new DailiesError(
    'table_corrupt',
    `${location} is not a valid table metadata file: ${place} ${issue?.message}`,
    {
      cause: error,
    },
  );
}

/** The same for metadata that is parsed as JSON already (`parseJson`), as other catalogs hand it over; `location` names it in errors. */
export function checkTableMetadata(json: unknown, location: string): TableMetadata {
  const metadata = validMetadata(json, location);
  checkMetadata(metadata, location);
  return metadata;
}

function validMetadata(json: unknown, location: string): TableMetadata {
  const parsed = tableMetadata.safeParse(upgradeMetadata(json, location));
  if (!parsed.success) throw invalid(parsed.error, '', location);
  return parsed.data;
}

function checkMetadata(metadata: TableMetadata, location: string): void {
  const lacks = (what: string) => new DailiesError('table_corrupt', `${location} lacks ${what}.`);
  const schemaId = metadata['current-schema-id'];
  if (!metadata.schemas.some((schema) => schema['schema-id'] === schemaId)) {
    throw lacks(`its current schema ${schemaId}`);
  }
  const specId = metadata['default-spec-id'];
  if (!metadata['partition-specs'].some((spec) => spec['spec-id'] === specId)) {
    throw lacks(`its default partition spec ${specId}`);
  }
  if (metadata['format-version'] === 3 && metadata['next-row-id'] === undefined) {
    throw lacks('next-row-id, which format version 3 requires');
  }
  const snapshots = new Set(metadata.snapshots.map((snapshot) => snapshot['snapshot-id']));
  for (const [name, ref] of Object.entries(metadata.refs)) {
    if (!snapshots.has(ref['snapshot-id'])) throw lacks(`snapshot ${ref['snapshot-id']} of its ${ref.type} "${name}"`);
  }
}

export function printTableMetadata(metadata: TableMetadata): string {
  const { snapshots, 'snapshot-log': log } = metadata;
  return `${printHead(metadata)}${printList(snapshots)}${betweenLists}${printList(log)}]}`;
}

function printHead({ snapshots: _snapshots, 'snapshot-log': _log, ...rest }: TableMetadata): string {
  return `${printJson(downgradeMetadata(rest)).slice(0, -1)},"snapshots":[`;
}

const betweenLists = '],"snapshot-log":[';

type ListItem = Snapshot | TableMetadata['snapshot-log'][number];

/** By the first of a group's items. */
const packed = new WeakMap<ListItem, { items: readonly ListItem[]; isLast: boolean; piece: Piece }>();

function packMetadata(metadata: TableMetadata): Piece[] {
  const { snapshots, 'snapshot-log': log } = metadata;
  return [
    packPiece(printHead(metadata)),
    ...packList(snapshots),
    packPiece(betweenLists),
    ...packList(log),
    packPiece(']}'),
  ];
}

/** Packs a list in groups that end at items which no other item decides on: what comes and goes elsewhere leaves them as they are. */
function packList(items: readonly ListItem[]): Piece[] {
  const pieces: Piece[] = [];
  for (let start = 0, at = 0; at < items.length; at++) {
    const isLast = at === items.length - 1;
    if (!isLast && (items[at]?.['timestamp-ms'] ?? 0) % groupItems !== 0) continue;
    pieces.push(packGroup(items.slice(start, at + 1), isLast));
    start = at + 1;
  }
  return pieces;
}

function packGroup(items: readonly ListItem[], isLast: boolean): Piece {
  const [first] = items;
  const known = first && packed.get(first);
  if (known && known.isLast === isLast && hasSame(known.items, items)) return known.piece;
  const piece = packPiece(printList(items) + (isLast ? '' : ','));
  if (first) packed.set(first, { items, isLast, piece });
  return piece;
}

function hasSame(a: readonly object[], b: readonly object[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
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
  if (id === null || id === undefined) return null;
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
