import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { checkIcebergSchema } from './check-schema.ts';
import { parseJson } from './json.ts';
import { applyPlaceUpdate } from './property-changes.ts';
import { type IcebergSchema, icebergSchema, readMetadataText } from './table-metadata.ts';
import { unboundSchema } from './table-updates.ts';

const text = z.record(z.string(), z.string());

const representation = z.looseObject({ type: z.string(), sql: z.string(), dialect: z.string() });

/** One state of a view: the same query in one or more dialects of SQL. */
export const viewVersion = z.looseObject({
  'version-id': z.int(),
  'timestamp-ms': z.int(),
  'schema-id': z.int(),
  summary: text.default({}),
  representations: z.array(representation),
  'default-catalog': z.string().nullish(),
  'default-namespace': z.array(z.string()),
});
export type ViewVersion = z.infer<typeof viewVersion>;

/** View Metadata of the specification (iceberg.apache.org/view-spec), format version 1. Unknown optional fields are kept. */
const viewMetadata = z.looseObject({
  'view-uuid': z.string(),
  'format-version': z.literal(1),
  location: z.string(),
  schemas: z.array(icebergSchema),
  'current-version-id': z.int(),
  versions: z.array(viewVersion),
  'version-log': z.array(z.object({ 'version-id': z.int(), 'timestamp-ms': z.int() })),
  properties: text.default({}),
});
export type ViewMetadata = z.infer<typeof viewMetadata>;

/** One change of a view's metadata, `ViewUpdate` of the REST catalog's OpenAPI; -1 as an id means what was added last. */
export const viewUpdate = z.discriminatedUnion('action', [
  z.object({ action: z.literal('assign-uuid'), uuid: z.string() }),
  z.object({ action: z.literal('upgrade-format-version'), 'format-version': z.int() }),
  z.object({ action: z.literal('add-schema'), schema: unboundSchema }),
  z.object({ action: z.literal('set-location'), location: z.string().min(1) }),
  z.object({ action: z.literal('set-properties'), updates: text }),
  z.object({ action: z.literal('remove-properties'), removals: z.array(z.string()) }),
  z.object({ action: z.literal('add-view-version'), 'view-version': viewVersion }),
  z.object({ action: z.literal('set-current-view-version'), 'view-version-id': z.int() }),
]);
export type ViewUpdate = z.infer<typeof viewUpdate>;

/** The parsed metadata file of a view. Throws `table_corrupt` where it is gone, torn or not valid. */
export async function readViewMetadata(location: string): Promise<ViewMetadata> {
  const file = await readMetadataText(location);
  try {
    return viewMetadata.parse(parseJson(file));
  } catch (thrown) {
    throw new DailiesError('table_corrupt', `${location} is not a valid view metadata file.`, { cause: thrown });
  }
}

/** A view without a version; updates complete it. */
export function emptyView(uuid: string, location: string): ViewMetadata {
  return {
    'view-uuid': uuid,
    'format-version': 1,
    location,
    schemas: [],
    'current-version-id': -1,
    versions: [],
    'version-log': [],
    properties: {},
  };
}

interface ViewDraft {
  metadata: ViewMetadata;
  nowMs: number;
  lastSchemaId: number | null;
  lastVersionId: number | null;
  addedVersions: Set<number>;
}

/** How many versions a view keeps where its property `version.history.num-entries` says nothing else. */
const defaultHistory = 10;

/**
 * The view's metadata after the updates, in their order. Pure. Old versions leave when there are more than the view keeps.
 * Throws `invalid` for an update that makes no sense for this view.
 */
export function applyViewUpdates(base: ViewMetadata, updates: readonly ViewUpdate[], nowMs: number): ViewMetadata {
  const metadata = { ...base };
  const draft: ViewDraft = { metadata, nowMs, lastSchemaId: null, lastVersionId: null, addedVersions: new Set() };
  for (const update of updates) apply(draft, update);
  if (metadata['current-version-id'] === -1) throw invalid('A view must have a current version.');
  checkDialects(base, metadata);
  return withoutOldVersions(draft);
}

function apply(draft: ViewDraft, update: ViewUpdate): void {
  const { metadata } = draft;
  switch (update.action) {
    case 'assign-uuid':
      if (update.uuid !== metadata['view-uuid']) throw invalid('Cannot reassign uuid.');
      return;
    case 'upgrade-format-version':
      if (update['format-version'] !== 1) throw invalid(`Unsupported format version: v${update['format-version']}`);
      return;
    case 'add-schema':
      draft.lastSchemaId = addSchema(metadata, update.schema);
      return;
    case 'set-location':
    case 'set-properties':
    case 'remove-properties':
      applyPlaceUpdate(metadata, update);
      return;
    case 'add-view-version':
      addVersion(draft, update['view-version']);
      return;
    case 'set-current-view-version':
      setCurrent(draft, update['view-version-id']);
      return;
  }
}

function addSchema(metadata: ViewMetadata, schema: IcebergSchema): number {
  checkIcebergSchema(schema, 3);
  const same = metadata.schemas.find((known) => isDeepStrictEqual(known.fields, schema.fields));
  if (same) return same['schema-id'];
  const id = Math.max(-1, ...metadata.schemas.map((known) => known['schema-id'])) + 1;
  metadata.schemas = [...metadata.schemas, { ...schema, 'schema-id': id }];
  return id;
}

function addVersion(draft: ViewDraft, asked: ViewVersion): void {
  const { metadata } = draft;
  if (asked['schema-id'] === -1 && draft.lastSchemaId === null) {
    throw invalid('Cannot set last added schema: no schema has been added');
  }
  const schemaId = asked['schema-id'] === -1 ? (draft.lastSchemaId ?? 0) : asked['schema-id'];
  if (!metadata.schemas.some((schema) => schema['schema-id'] === schemaId)) {
    throw invalid(`Cannot add version with unknown schema: ${schemaId}`);
  }
  const dialects = asked.representations.map((one) => one.dialect.toLowerCase());
  const twice = dialects.find((dialect, index) => dialects.indexOf(dialect) !== index);
  if (twice !== undefined) throw invalid(`Invalid view version: Cannot add multiple queries for dialect ${twice}`);
  const version = { ...asked, 'schema-id': schemaId };
  const same = metadata.versions.find((known) => isSameVersion(known, version));
  const highest = Math.max(0, ...metadata.versions.map((known) => known['version-id']));
  const id = same?.['version-id'] ?? Math.max(version['version-id'], highest + 1);
  if (!same) {
    metadata.versions = [...metadata.versions, { ...version, 'version-id': id }];
    draft.addedVersions.add(id);
  }
  draft.lastVersionId = id;
}

function isSameVersion(left: ViewVersion, right: ViewVersion): boolean {
  const content = ({ 'version-id': _id, 'timestamp-ms': _at, ...rest }: ViewVersion) => rest;
  return isDeepStrictEqual(content(left), content(right));
}

function setCurrent(draft: ViewDraft, asked: number): void {
  const { metadata } = draft;
  const id = asked === -1 ? draft.lastVersionId : asked;
  if (id === null) throw invalid('Cannot set last version id: no version has been added');
  const version = metadata.versions.find((known) => known['version-id'] === id);
  if (!version) throw invalid(`Cannot set current version to unknown version: ${id}`);
  if (metadata['current-version-id'] === id) return;
  metadata['current-version-id'] = id;
  const at = draft.addedVersions.has(id) ? version['timestamp-ms'] : draft.nowMs;
  metadata['version-log'] = [...metadata['version-log'], { 'timestamp-ms': at, 'version-id': id }];
}

// A new version that lacks a dialect would break the engines that read the view in it.
function checkDialects(base: ViewMetadata, next: ViewMetadata): void {
  if (next.properties['replace.drop-dialect.allowed']?.toLowerCase() === 'true') return;
  const [before, after] = [dialectsOf(base), dialectsOf(next)];
  if (before.every((dialect) => after.includes(dialect))) return;
  throw invalid(
    `Cannot replace view due to loss of view dialects (replace.drop-dialect.allowed=false):\nPrevious dialects: [${before.join(', ')}]\nNew dialects: [${after.join(', ')}]`,
  );
}

function dialectsOf(metadata: ViewMetadata): string[] {
  const current = metadata.versions.find((version) => version['version-id'] === metadata['current-version-id']);
  return (current?.representations ?? []).map((one) => one.dialect.toLowerCase());
}

function withoutOldVersions({ metadata, addedVersions }: ViewDraft): ViewMetadata {
  const asked = Number(metadata.properties['version.history.num-entries'] ?? defaultHistory);
  const limit = Math.max(addedVersions.size, Number.isInteger(asked) && asked > 0 ? asked : defaultHistory);
  if (metadata.versions.length <= limit) return metadata;
  const current = metadata['current-version-id'];
  const others = metadata.versions.map((version) => version['version-id']).filter((id) => id !== current);
  const kept = new Set([current, ...others.toSorted((a, b) => b - a).slice(0, limit - 1)]);
  const lastGone = metadata['version-log'].findLastIndex((entry) => !kept.has(entry['version-id']));
  return {
    ...metadata,
    versions: metadata.versions.filter((version) => kept.has(version['version-id'])),
    'version-log': metadata['version-log'].slice(lastGone + 1),
  };
}

function invalid(message: string): DailiesError {
  return new DailiesError('invalid', message);
}
