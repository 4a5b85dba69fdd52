import type { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { recordTable } from '#catalog/iceberg/tables/record-table.ts';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';

export interface LandedTable {
  /** namespace.table */
  name: string;
  /** source.schema.table */
  source: string;
  schema: Schema;
  rows: readonly Row[];
}

/** Writes a table into the warehouse as a pipeline named after it would, and tells the catalog. */
export async function landTable(table: LandedTable, catalog: IcebergCatalog, indexDir: string): Promise<void> {
  const now = () => new Date();
  const writer = await TableWriter.open(table.name, { catalog, indexDir, now });
  await writer.snapshots.beginReplacement(table.schema);
  for (const row of table.rows) await writer.snapshots.appendReplacement(row);
  await writer.snapshots.endReplacement();
  await commitTables(catalog, [writer], {}, async (tx, commits) => {
    for (const { prepared } of commits) {
      await recordTable(tx, {
        name: table.name,
        pipeline: table.name,
        owner: 'owner@studio.example',
        source: table.source,
        schema: table.schema,
        iceberg: prepared.iceberg,
        rows: prepared.rows,
        snapshotId: prepared.built.snapshot['snapshot-id'],
        freshAsOf: now(),
        committedAt: now(),
        hasNewRows: true,
        hasNewColumns: true,
      });
    }
  });
  await writer.close();
}

const long = { kind: 'long' } as const;
const text = { kind: 'string' } as const;
const money = { kind: 'decimal', precision: 14, scale: 2 } as const;

export const movies: LandedTable = {
  name: 'production.movie',
  source: 'production.public.movie',
  schema: {
    key: ['id'],
    fields: [
      { name: 'id', type: long, required: true },
      { name: 'title', type: text, required: false },
      { name: 'status', type: text, required: false },
    ],
  },
  rows: Array.from({ length: 40 }, (_, at) => [BigInt(at + 1), `Film ${at + 1}`, at % 2 === 0 ? 'shooting' : null]),
};

export const deals: LandedTable = {
  name: 'deals.deal',
  source: 'deals.public.deal',
  schema: {
    key: ['deal_id'],
    fields: [
      { name: 'deal_id', type: long, required: true },
      { name: 'territory', type: text, required: false },
      { name: 'fee', type: money, required: false, doc: 'What the licensee pays' },
    ],
  },
  rows: Array.from({ length: 5000 }, (_, at) => [BigInt(at + 1), 'US', BigInt(at) * 100n]),
};
