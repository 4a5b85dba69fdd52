import { createHash } from 'node:crypto';
import { DailiesError } from '../../error.ts';

/*
 * Format versions of table metadata (iceberg.apache.org/spec, Appendix E). In memory all have the shape of format 2 and 3:
 * lists of schemas and partition specs, sequence numbers, refs. Format 1 keeps its version and is written back as such.
 */
type Json = Record<string, unknown>;

const newestVersion = 3;

/** The JSON of a metadata file in the shape of format 2. Throws `unsupported` for later versions and what is encrypted. */
export function upgradeMetadata(json: unknown, location: string): Json {
  if (!isObject(json)) {
    throw new DailiesError('table_corrupt', `${location} is not a table metadata file: it holds no JSON object.`);
  }
  const version = json['format-version'];
  if (typeof version === 'number' && Number.isInteger(version) && version > newestVersion) {
    throw new DailiesError(
      'unsupported',
      `${location} has format version ${version}; versions up to ${newestVersion} can be read. Upgrade Dailies.`,
      { details: { location, formatVersion: version } },
    );
  }
  if (version !== 1 && version !== 2 && version !== 3) {
    throw new DailiesError('table_corrupt', `${location} has no format version, so it is not a table metadata file.`);
  }
  const upgraded = version === 1 ? upgradeFirst(json, location) : { ...json };
  const current = upgraded['current-snapshot-id'];
  // Some writers put -1 where there is none, and those before refs no main branch.
  if (current === -1) upgraded['current-snapshot-id'] = null;
  else if (current !== undefined && current !== null) {
    const refs = isObject(upgraded.refs) ? upgraded.refs : {};
    upgraded.refs = 'main' in refs ? refs : { ...refs, main: { 'snapshot-id': current, type: 'branch' } };
  }
  return upgraded;
}

function upgradeFirst(json: Json, location: string): Json {
  const { schema, 'partition-spec': firstSpec, ...rest } = json;
  const schemas = Array.isArray(rest.schemas)
    ? rest.schemas
    : isObject(schema)
      ? [{ ...schema, 'schema-id': schema['schema-id'] ?? 0 }]
      : [];
  const specs = (
    Array.isArray(rest['partition-specs'])
      ? rest['partition-specs']
      : [{ 'spec-id': 0, fields: Array.isArray(firstSpec) ? firstSpec : [] }]
  ).map(withFieldIds);
  const snapshots = Array.isArray(rest.snapshots) ? rest.snapshots : [];
  if (snapshots.some((snapshot) => isObject(snapshot) && !('manifest-list' in snapshot))) {
    throw new DailiesError(
      'unsupported',
      `${location} has snapshots without a manifest list, as writers made them before 2019. Rewrite the table with an engine that reads them.`,
    );
  }
  return {
    ...rest,
    'table-uuid': rest['table-uuid'] ?? uuidOf(String(rest.location)),
    'last-sequence-number': 0,
    schemas,
    'current-schema-id': rest['current-schema-id'] ?? idOf(schemas.at(-1), 'schema-id'),
    'partition-specs': specs,
    'default-spec-id': rest['default-spec-id'] ?? idOf(specs.at(-1), 'spec-id'),
    'last-partition-id': rest['last-partition-id'] ?? lastPartitionId(specs),
  };
}

/** The JSON to write for metadata in memory: format 1 gets back what only it has and loses what it has not. */
export function downgradeMetadata(metadata: Json): Json {
  if (metadata['format-version'] !== 1) return metadata;
  const { 'last-sequence-number': _sequence, ...rest } = metadata;
  const schemas = metadata.schemas as Json[];
  const specs = metadata['partition-specs'] as Json[];
  return {
    ...rest,
    schema: schemas.find((schema) => schema['schema-id'] === metadata['current-schema-id']),
    'partition-spec': specs.find((spec) => spec['spec-id'] === metadata['default-spec-id'])?.fields ?? [],
  };
}

// Format 1 allows fields without ids: they count from 1000 in their order.
function withFieldIds(spec: unknown): unknown {
  if (!isObject(spec) || !Array.isArray(spec.fields)) return spec;
  const fields = spec.fields.map((field, index) => (isObject(field) ? { 'field-id': 1000 + index, ...field } : field));
  return { ...spec, fields };
}

function lastPartitionId(specs: readonly unknown[]): number {
  const ids = specs.flatMap((spec) => (isObject(spec) && Array.isArray(spec.fields) ? spec.fields : []));
  return Math.max(999, ...ids.map((field) => idOf(field, 'field-id')));
}

function idOf(item: unknown, key: string): number {
  const id = isObject(item) ? item[key] : undefined;
  return typeof id === 'number' ? id : 0;
}

// Format 1 may lack a uuid: one that is always the same for the table's location.
function uuidOf(location: string): string {
  const hex = createHash('sha256').update(location).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
