import { readDeletionVector } from '#catalog/iceberg/files/deletion-vector.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { readPositionDeletes } from '#catalog/iceberg/files/position-deletes.ts';
import { currentSnapshot } from '#catalog/iceberg/metadata/table-metadata.ts';
import { readLiveFiles } from '#catalog/iceberg/read/live-files.ts';
import { commitPrepared } from '#catalog/iceberg/write/commit.ts';
import { layoutOf } from '#catalog/iceberg/write/open-files.ts';
import { rewriteFiles } from '#catalog/iceberg/write/rewrite-files.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { TestWarehouse } from '../warehouse.ts';

/** Rewrites all data files of the table as one. */
export async function rewriteAll(warehouse: TestWarehouse, name: string): Promise<void> {
  const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
  const writer = await TableWriter.open(name, deps);
  const connection = await connectDuckdb();
  try {
    const { metadata } = writer;
    const snapshot = metadata && currentSnapshot(metadata);
    if (!metadata || !snapshot) throw new Error('The table has no snapshot.');
    const sources = [];
    for (const { data, deletes } of (await readLiveFiles(snapshot)).files) {
      const { location, recordCount } = data.file;
      const files = deletes.map((entry) => entry.file.location);
      const deleted =
        metadata['format-version'] === 3 && deletes[0]
          ? await readDeletionVector(deletes[0].file)
          : await readPositionDeletes(connection, location, recordCount, files);
      sources.push({ entry: data, deleted: deletes.length > 0 ? deleted : null });
    }
    const rewrite = await rewriteFiles(connection, {
      sources,
      layout: layoutOf(writer.schema, metadata),
      keepsLineage: metadata['format-version'] === 3,
      location: `${metadata.location}/data/rewritten-${snapshot['snapshot-id']}.parquet`,
    });
    const prepared = await writer.prepareRewritten(rewrite);
    if (!prepared) throw new Error('The rewrite was not put in place.');
    await commitPrepared(warehouse.catalog, [{ writer, prepared }], async () => {});
  } finally {
    connection.closeSync();
    await writer.close();
  }
}
