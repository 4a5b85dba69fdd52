import { DuckDBBitValue, type DuckDBConnection } from '@duckdb/node-api';
import { copyToFile } from './data-file-writer.ts';
import { identifier } from './duckdb-values.ts';
import type { DataFile, ManifestEntry } from './manifest.ts';
import type { FileLayout } from './open-files.ts';
import { tupleKey } from './partitioner.ts';
import type { PositionSet } from './position-set.ts';
import { lineageColumns, withLineage } from './row-lineage.ts';
import { readParquet } from './scan.ts';
import { fieldIds } from './schema-conversion.ts';
import { holdLocal } from './storage.ts';
import type { WorkingFile, WorkingFiles } from './working-files.ts';

let nextMask = 0;

/**
 * Writes the live rows of committed data files anew, in their order: one file for each partition that they are of, which
 * stays with the spec that it had. With `keepsLineage` each row keeps its id and sequence number (format 3).
 */
export async function rewriteFiles(
  connection: DuckDBConnection,
  files: WorkingFiles,
  chosen: readonly WorkingFile[],
  layout: FileLayout,
  keepsLineage: boolean,
  newLocation: () => string,
): Promise<DataFile[]> {
  const target = keepsLineage ? withLineage(layout) : layout;
  const groups = Map.groupBy(chosen, ({ file }) => `${file.specId} ${tupleKey(file.partition)}`);
  const written: DataFile[] = [];
  for (const group of groups.values()) {
    const { specId, partition } = group[0]?.file ?? layout;
    using held = await holdLocal(group.map(({ file }) => file.location));
    const masks = `masks_${nextMask++}`;
    await connection.run(`CREATE TEMP TABLE ${masks} (file INTEGER, mask BIT)`);
    try {
      const branches: string[] = [];
      for (const [index, working] of group.entries()) {
        const { entry } = working;
        if (!entry) continue;
        const hasDeletes = working.deletes.length > 0;
        if (hasDeletes) await putMask(connection, masks, index, await files.positionsOf(working), working);
        branches.push(
          select(
            entry,
            held.paths[index] ?? '',
            target,
            layout,
            keepsLineage,
            hasDeletes ? `${masks} WHERE file = ${index}` : null,
          ),
        );
      }
      const file = await copyToFile(connection, branches.join(' UNION ALL '), target, newLocation());
      written.push({ ...file, specId, partition: partition as DataFile['partition'] });
    } finally {
      await connection.run(`DROP TABLE ${masks}`);
    }
  }
  return written;
}

function select(
  entry: ManifestEntry,
  path: string,
  target: FileLayout,
  layout: FileLayout,
  keepsLineage: boolean,
  mask: string | null,
): string {
  const columns = layout.schema.fields.map((field) => identifier(field.name));
  if (keepsLineage) columns.push(...lineageColumns(entry));
  const source = readParquet([path], target.schema, fieldIds(target.iceberg), ['file_row_number = true']);
  const where = mask === null ? '' : ` WHERE get_bit((SELECT mask FROM ${mask}), file_row_number::INTEGER) = 0`;
  return `SELECT ${columns.join(', ')} FROM ${source}${where}`;
}

async function putMask(
  connection: DuckDBConnection,
  table: string,
  index: number,
  deleted: PositionSet,
  { file }: WorkingFile,
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
