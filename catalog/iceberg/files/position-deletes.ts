import type { DuckDBConnection } from '@duckdb/node-api';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { encodeLong } from '../manifests/bounds.ts';
import { type DataFile, plainFile } from '../manifests/manifest.ts';
import { comparable, comparablePath } from '../read/delete-masks.ts';
import { deletePathFieldId, deletePositionFieldId } from '../read/live-files.ts';
import { holdLocal, writeBytes } from '../storage.ts';
import { literal } from './duckdb-values.ts';
import { PositionSet } from './position-set.ts';

/*
 * Position delete files (iceberg.apache.org/spec, Position Delete Files): Parquet with the columns file_path and pos, both
 * required, sorted by them. Ours each belong to one data file and hold all of its deleted positions: a later commit that
 * deletes more of its rows replaces the file by a larger one.
 */

/** Writes the delete file of one data file and flushes it to disk; its folder is flushed by the caller. */
export async function writePositionDeletes(data: DataFile, deleted: PositionSet, location: string): Promise<DataFile> {
  const dataLocation = data.location;
  const positions = deleted.toArray();
  const count = positions.length;
  const buffer = parquetWriteBuffer({
    schema: [
      { name: 'root', num_children: 2 },
      {
        name: 'file_path',
        type: 'BYTE_ARRAY',
        repetition_type: 'REQUIRED',
        converted_type: 'UTF8',
        field_id: deletePathFieldId,
      },
      { name: 'pos', type: 'INT64', repetition_type: 'REQUIRED', field_id: deletePositionFieldId },
    ],
    columnData: [
      { name: 'file_path', data: new Array<string>(count).fill(dataLocation) },
      { name: 'pos', data: positions },
    ],
    // Readers use the footer's bounds as we do the manifest's: whole or not at all.
    statisticsTruncateLength: Number.POSITIVE_INFINITY,
    rowGroupSize: 1_000_000,
  });
  const bytes = new Uint8Array(buffer);
  await writeBytes(location, bytes);
  const pathBound = Buffer.from(dataLocation);
  return {
    ...plainFile,
    content: 'position-deletes',
    location,
    specId: data.specId,
    partition: data.partition,
    recordCount: count,
    sizeBytes: bytes.length,
    columnSizes: new Map(),
    valueCounts: new Map([
      [deletePathFieldId, count],
      [deletePositionFieldId, count],
    ]),
    nullCounts: new Map([
      [deletePathFieldId, 0],
      [deletePositionFieldId, 0],
    ]),
    nanCounts: new Map(),
    lowerBounds: new Map<number, Uint8Array>([
      [deletePathFieldId, pathBound],
      [deletePositionFieldId, encodeLong(positions[0] ?? 0n)],
    ]),
    upperBounds: new Map<number, Uint8Array>([
      [deletePathFieldId, pathBound],
      [deletePositionFieldId, encodeLong(positions[count - 1] ?? 0n)],
    ]),
    referencedDataFile: dataLocation,
  };
}

/** True if these deletes are of that data file alone, so that they may be replaced with it. */
export function isOnlyOf(data: DataFile, deletes: DataFile): boolean {
  if (deletes.referencedDataFile !== null) return deletes.referencedDataFile === data.location;
  // Bounds of the path that are equal name the only data file, for writers older than referenced_data_file.
  const lower = deletes.lowerBounds.get(deletePathFieldId);
  const upper = deletes.upperBounds.get(deletePathFieldId);
  if (!lower || !upper || Buffer.compare(lower, upper) !== 0) return false;
  return Buffer.from(lower).toString() === data.location;
}

/** Positions of `dataLocation` that these delete files hold. */
export async function readPositionDeletes(
  connection: DuckDBConnection,
  dataLocation: string,
  recordCount: number,
  deleteLocations: readonly string[],
): Promise<PositionSet> {
  const deleted = new PositionSet(recordCount);
  if (deleteLocations.length === 0) return deleted;
  using held = await holdLocal(deleteLocations);
  const paths = held.paths.map(literal).join(', ');
  const result = await connection.stream(
    `SELECT pos FROM read_parquet([${paths}]) WHERE ${comparablePath('file_path')} = ${literal(comparable(dataLocation))} AND pos < ${recordCount}`,
  );
  for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    for (const position of chunk.getColumnValues(0)) deleted.add(Number(position));
  }
  return deleted;
}
