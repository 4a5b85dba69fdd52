import { DuckDBBitValue, type DuckDBConnection } from '@duckdb/node-api';
import { DailiesError } from '../../error.ts';
import { copyToFile } from '../files/data-file-writer.ts';
import { identifier } from '../files/duckdb-values.ts';
import { PositionMap } from '../files/position-map.ts';
import type { PositionSet } from '../files/position-set.ts';
import { dataFileSource } from '../files/read-data-file.ts';
import { pathList } from '../files/read-parquet.ts';
import type { DataFile, ManifestEntry } from '../manifests/manifest.ts';
import { lineageColumns, withLineage } from '../metadata/row-lineage.ts';
import { holdLocal, localPath, removeFiles } from '../storage.ts';
import type { FileLayout } from './open-files.ts';

let nextMask = 0;

/** A committed data file that is to be rewritten. */
export interface RewriteSource {
  entry: ManifestEntry;
  /** Its deleted rows when the rewrite was planned: they are left out. Null for none. */
  deleted: PositionSet | null;
}

/** A rewrite that nobody but its planner knows of yet. */
export interface RewritePlan {
  /** All of one partition, in the order their rows shall have. */
  sources: readonly RewriteSource[];
  layout: FileLayout;
  /** Rows keep their ids and sequence numbers (format 3). */
  keepsLineage: boolean;
  location: string;
}

/** A rewrite whose file is written. */
export interface Rewrite {
  plan: RewritePlan;
  /** Null where no row was left. */
  file: DataFile | null;
  /** Where the rows of each source stand in `file`. */
  moves: readonly { from: string; map: PositionMap }[];
}

/**
 * Writes the live rows of data files anew as one file, in their order; it stays with the partition spec that they have.
 * Reads nothing but the plan, so that it may run beside the table's writer; durable when resolved.
 */
export async function rewriteFiles(connection: DuckDBConnection, plan: RewritePlan): Promise<Rewrite> {
  const { sources, layout, keepsLineage, location } = plan;
  const target = keepsLineage ? withLineage(layout) : layout;
  const first = sources[0]?.entry.file;
  if (!first) return { plan, file: null, moves: [] };
  using _held = await holdLocal(sources.map(({ entry }) => entry.file.location));
  const masks = `masks_${nextMask++}`;
  await connection.run(`CREATE TEMP TABLE ${masks} (file INTEGER, mask BIT)`);
  try {
    const branches: string[] = [];
    for (const [index, { entry, deleted }] of sources.entries()) {
      if (deleted) await putMask(connection, masks, index, deleted, entry.file);
      const mask = deleted ? `${masks} WHERE file = ${index}` : null;
      branches.push(await select(entry, target, layout, keepsLineage, mask));
    }
    const rowBytes = await widthOf(connection, sources);
    const file = await copyToFile(connection, branches.join(' UNION ALL '), target, location, { rowBytes });
    const moves = movesOf(sources);
    const rows = moves.reduce((sum, { map }) => sum + map.kept, 0);
    if (rows !== file.recordCount) {
      await removeFiles([location]);
      const message = `A rewrite of ${sources.length} files was to have ${rows} rows and has ${file.recordCount}; it was given up.`;
      throw new DailiesError('table_corrupt', message, { details: { files: sources.length, rows } });
    }
    if (rows > 0) return { plan, file: { ...file, specId: first.specId, partition: first.partition }, moves };
    await removeFiles([location]);
    return { plan, file: null, moves };
  } finally {
    await connection.run(`DROP TABLE ${masks}`);
  }
}

/** About what a row takes in memory, in bytes. */
async function widthOf(connection: DuckDBConnection, sources: readonly RewriteSource[]): Promise<number> {
  const paths = sources.map(({ entry }) => localPath(entry.file.location));
  const reader = await connection.runAndReadAll(
    `SELECT sum(total_uncompressed_size) FROM parquet_metadata(${pathList(paths)})`,
  );
  const bytes = Number(reader.getRows()[0]?.[0] ?? 0);
  return bytes / sources.reduce((sum, { entry }) => sum + entry.file.recordCount, 1);
}

function movesOf(sources: readonly RewriteSource[]): Rewrite['moves'] {
  let base = 0;
  return sources.map(({ entry: { file }, deleted }) => {
    const map = PositionMap.of(base, file.recordCount, deleted?.toArray() ?? []);
    base += map.kept;
    return { from: file.location, map };
  });
}

async function select(
  entry: ManifestEntry,
  target: FileLayout,
  layout: FileLayout,
  keepsLineage: boolean,
  mask: string | null,
): Promise<string> {
  const columns = layout.schema.fields.map((field) => identifier(field.name));
  if (keepsLineage) columns.push(...lineageColumns(entry));
  const { schema, iceberg } = target;
  const source = await dataFileSource(entry.file.location, { schema, iceberg: iceberg.fields });
  const where = mask === null ? '' : ` WHERE get_bit((SELECT mask FROM ${mask}), file_row_number::INTEGER) = 0`;
  return `SELECT ${columns.join(', ')} FROM ${source}${where}`;
}

async function putMask(
  connection: DuckDBConnection,
  table: string,
  index: number,
  deleted: PositionSet,
  file: DataFile,
): Promise<void> {
  // DuckDB's BIT: how many bits of the first byte are unused, then the bits, the first one highest.
  const bytes = new Uint8Array(1 + Math.max(1, Math.ceil(file.recordCount / 8)));
  for (const position of deleted.toArray()) {
    const at = Number(position);
    bytes[1 + (at >> 3)] = (bytes[1 + (at >> 3)] ?? 0) | (0x80 >> (at & 7));
  }
  const appender = await connection.createAppender(table);
  appender.appendInteger(index);
  appender.appendBit(new DuckDBBitValue(bytes));
  appender.endRow();
  appender.closeSync();
}
