import { truncateBytes, truncateText } from '../manifests/bounds.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { type IcebergType, nestedFields } from './iceberg-schema.ts';
import { schemaOf, type TableMetadata } from './table-metadata.ts';

/*
 * Which statistics of a column go into manifests, by the table properties that all engines know:
 * `write.metadata.metrics.default` and `write.metadata.metrics.column.NAME` are none, counts, truncate(LENGTH) or full;
 * without a default, columns beyond the first `write.metadata.metrics.max-inferred-column-defaults` (100) have none. Bounds
 * of texts and bytes are cut to 16 here at the most.
 */
type MetricsMode = { kind: 'none' | 'counts' | 'full' } | { kind: 'truncate'; length: number };

const full: MetricsMode = { kind: 'full' };
const prefix = 'write.metadata.metrics';

/** The mode of each column that does not have full statistics, by field id. */
export function metricsModes(metadata: TableMetadata): ReadonlyMap<number, MetricsMode> {
  const { properties } = metadata;
  const schema = schemaOf(metadata);
  const order = metadata['sort-orders'].find((each) => each['order-id'] === metadata['default-sort-order-id']);
  // What rows are found by is worth its bounds, unless its own property says otherwise.
  const wanted = new Set([
    ...(schema['identifier-field-ids'] ?? []),
    ...(order?.fields ?? []).map((field) => field['source-id']),
  ]);
  const standard = parseMode(properties[`${prefix}.default`]);
  const limit = Number(properties[`${prefix}.max-inferred-column-defaults`] ?? 100);
  const modes = new Map<number, MetricsMode>();
  let columns = 0;
  for (const field of nestedFields(schema.fields)) {
    if (typeof field.type !== 'string') continue;
    columns += 1;
    const inferred: MetricsMode = standard ?? (columns > limit ? { kind: 'none' } : full);
    const isPoor = inferred.kind === 'none' || inferred.kind === 'counts';
    const own = parseMode(properties[`${prefix}.column.${field.path.join('.')}`]);
    const mode = own ?? (isPoor && wanted.has(field.id) ? full : inferred);
    if (mode.kind !== 'full') modes.set(field.id, mode);
  }
  return modes;
}

// Nothing for a mode that nobody knows, as in the reference implementation.
function parseMode(text: string | undefined): MetricsMode | null {
  const match = /^(none|counts|full|truncate\((\d+)\))$/i.exec(text ?? '');
  if (!match) return null;
  if (match[2] !== undefined) return Number(match[2]) > 0 ? { kind: 'truncate', length: Number(match[2]) } : null;
  return { kind: match[1]?.toLowerCase() as 'none' | 'counts' | 'full' };
}

/** The file with no more statistics than the modes of its columns ask for. */
export function withMetricsModes(file: DataFile, metadata: TableMetadata): DataFile {
  if (file.content !== 'data') return file;
  const modes = metricsModes(metadata);
  if (modes.size === 0) return file;
  const types = new Map([...nestedFields(schemaOf(metadata).fields)].map((field) => [field.id, field.type]));
  const counted = <T>(map: ReadonlyMap<number, T>) =>
    new Map([...map].filter(([id]) => modes.get(id)?.kind !== 'none'));
  const bounded = (map: ReadonlyMap<number, Uint8Array>, side: 'lower' | 'upper') =>
    new Map(
      [...map].flatMap(([id, bound]): [number, Uint8Array][] => {
        const mode = modes.get(id) ?? full;
        if (mode.kind === 'none' || mode.kind === 'counts') return [];
        const cut = mode.kind !== 'truncate' ? bound : cutBound(types.get(id), bound, side, mode.length);
        return cut ? [[id, cut]] : [];
      }),
    );
  return {
    ...file,
    columnSizes: counted(file.columnSizes),
    valueCounts: counted(file.valueCounts),
    nullCounts: counted(file.nullCounts),
    nanCounts: counted(file.nanCounts),
    lowerBounds: bounded(file.lowerBounds, 'lower'),
    upperBounds: bounded(file.upperBounds, 'upper'),
  };
}

function cutBound(
  type: IcebergType | undefined,
  bound: Uint8Array,
  side: 'lower' | 'upper',
  length: number,
): Uint8Array | null {
  if (type === 'string') return truncateText(Buffer.from(bound).toString(), side, length);
  return type === 'binary' ? truncateBytes(bound, side, length) : bound;
}
