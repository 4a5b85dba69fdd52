import { currentSnapshot, schemaOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { recordTable } from '#catalog/iceberg/tables/record-table.ts';
import type { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { State } from '#catalog/state/state.ts';

interface LandedTable {
  state: State;
  pipeline: string;
  owner: string | null;
  /** source.schema.table */
  source: string;
  freshAsOf: Date | null;
  now: () => Date;
}

/**
 * Brings what the catalog's pages know of a table up to its last commit. A commit to another server's catalog and our
 * record of it are two steps: this makes good for what went wrong between them.
 */
export async function recordLanded(writer: TableWriter, landed: LandedTable): Promise<void> {
  const { metadata } = writer;
  const snapshot = metadata && currentSnapshot(metadata);
  if (!metadata || !snapshot) return;
  const { state, now, ...rest } = landed;
  const where = { name: writer.name };
  const known = await state.dataTable.findUnique({ where, select: { snapshotId: true } });
  if (known?.snapshotId === snapshot['snapshot-id']) return;
  await state.$transaction((tx) =>
    recordTable(tx, {
      ...where,
      ...rest,
      schema: writer.schema,
      iceberg: schemaOf(metadata),
      rows: writer.rows,
      snapshotId: snapshot['snapshot-id'],
      committedAt: now(),
      hasNewRows: true,
      hasNewColumns: true,
    }),
  );
}
