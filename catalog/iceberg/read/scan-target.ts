import { DailiesError } from '../../error.ts';
import type { Value } from '../../schemas/schema.ts';
import { readFileSchemas } from '../files/file-schema.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { mappedIds, nameMappingOf } from '../metadata/name-mapping.ts';
import { partitionColumns } from '../metadata/partition-spec.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { parquetLocation } from './delete-masks.ts';
import { type EqualityKeys, equalityKeys, keyColumns } from './equality-deletes.ts';
import { fileProjection, mayDiffer, withMappedIds } from './file-projection.ts';
import type { ScannedFile } from './live-files.ts';
import type { MaskFiles } from './mask-files.ts';
import { type FileMasks, readMasks } from './read-masks.ts';
import { absentText, constantText, type ScanColumn } from './scan-columns.ts';

/** What the rows of files are read as, and all that must be known of the files for it. */
export interface ScanTarget {
  columns: readonly ScanColumn[];
  masks: FileMasks;
  /** Masks that were written as files for this scan. */
  maskFiles?: MaskFiles;
  keys: EqualityKeys;
  /** The SELECT lists of files that DuckDB would read wrongly by itself, by location and column ids. */
  projections: FileProjections;
  /** Each row as one struct `item`, in place of its columns. */
  isItem?: boolean;
  /** With the rows' ids and sequence numbers after their columns (format 3). */
  hasLineage?: boolean;
}

/** By location: the SELECT list for these columns, null where DuckDB reads the file right by field id. */
export type FileProjections = (file: DataFile, columns: readonly ScanColumn[]) => readonly string[] | null;

/**
 * Reads what a scan needs beside the manifests: masks of deleted rows, with `isAllMasks` those of small files too, and footers
 * where names may mislead.
 */
export async function scanTarget(
  metadata: TableMetadata,
  columns: readonly ScanColumn[],
  files: readonly ScannedFile[],
  isAllMasks = false,
): Promise<ScanTarget> {
  const keys = equalityKeys(metadata, columns, files);
  const all = [...columns, ...keyColumns(keys, columns)];
  const [masks, projections] = await Promise.all([readMasks(files, isAllMasks), fileProjections(metadata, all, files)]);
  return { columns, masks, keys, projections };
}

async function fileProjections(
  metadata: TableMetadata,
  columns: readonly ScanColumn[],
  files: readonly ScannedFile[],
): Promise<FileProjections> {
  const mapping = nameMappingOf(metadata.properties);
  if (mapping === null && !mayDiffer(columns, metadata.schemas)) return () => null;
  const ids = mapping === null ? null : mappedIds(mapping);
  const read = files.flatMap(({ data, equalityDeletes }) => [data.file, ...equalityDeletes.map(({ file }) => file)]);
  const schemas = await readFileSchemas(read.map(parquetLocation));
  const constants = partitionConstants(metadata);
  return (file, wanted) => {
    const own = schemas.get(file.location) ?? [];
    const isById = own.some((field) => field.id !== null);
    if (!isById && ids === null) {
      throw new DailiesError(
        'unsupported',
        `The data file ${file.location} has no field ids, and the table has no property schema.name-mapping.default that tells which columns it holds.`,
        { details: { location: file.location } },
      );
    }
    const fields = isById || ids === null ? own : withMappedIds(own, ids);
    return fileProjection(wanted, fields, isById, constants(file, wanted));
  };
}

/** The texts of columns whose values a file's partition tells, by column id: files added as they were may lack them. */
function partitionConstants(metadata: TableMetadata) {
  const specs = new Map<number, ReturnType<typeof partitionColumns>>();
  return (file: DataFile, wanted: readonly ScanColumn[]): Map<number, string> => {
    const known = specs.get(file.specId) ?? partitionColumns(metadata, file.specId);
    specs.set(file.specId, known);
    const values = new Map<number, string>();
    for (const [index, part] of known.entries()) {
      const column = wanted.find((candidate) => candidate.id === part.sourceId);
      const value: Value = file.partition[index] ?? null;
      if (part.transform.kind !== 'identity' || !column) continue;
      values.set(
        column.id,
        value === null ? absentText({ ...column.field, initialDefault: null }) : constantText(part.type, value),
      );
    }
    return values;
  };
}
