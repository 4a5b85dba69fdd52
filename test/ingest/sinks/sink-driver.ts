import type { MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import type { TableCatalog } from '#catalog/iceberg/tables/table-catalog.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, Op, TableChanges } from '#ingest/event.ts';
import type { PipelinePosition, Sink } from '#ingest/sink.ts';
import { icebergSink } from '#ingest/sinks/iceberg.ts';
import type { TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';

export const { signal } = new AbortController();

export function openSink(
  warehouse: Pick<TestWarehouse, 'state' | 'indexDir'> & { catalog: TableCatalog },
  options: {
    table?: string;
    mode?: 'mirror' | 'changes';
    sourceTables?: string[];
    now?: () => Date;
    pipeline?: string;
    formatVersion?: 2 | 3;
    partition?: readonly string[];
    maintained?: MaintainedTables;
    properties?: Record<string, string>;
  } = {},
): Sink {
  const { table = 'production.{table}', mode, formatVersion, partition, properties } = options;
  return icebergSink.open(icebergSink.config.parse({ table, mode, formatVersion, partition, properties }), {
    pipeline: options.pipeline ?? 'movies',
    owner: 'owner@studio.example',
    sourceTables: options.sourceTables ?? ['production.public.movie'],
    catalog: warehouse.catalog,
    state: warehouse.state,
    indexDir: warehouse.indexDir,
    now: options.now ?? (() => new Date()),
    ...(options.maintained ? { maintained: options.maintained } : {}),
  });
}

export function position(offset: number): PipelinePosition {
  return { production: { offset, position: `0/${offset}`, timeMicros: String(1_700_000_000_000_000 + offset) } };
}

export type Change = { op: Op; before?: Row | null; after?: Row | null };

export function changesOf(schema: Schema, changes: readonly Change[], table = 'production.public.movie'): TableChanges {
  const events: ChangeEvent[] = changes.map(({ op, before = null, after = null }) => ({ op, before, after, tx: 0 }));
  return { table, schema, events, transactions: [{ id: '1', position: '0/1', timeMicros: 0n }] };
}

export async function snapshot(
  sink: Sink,
  schema: Schema,
  rows: readonly Row[],
  table = 'production.public.movie',
): Promise<void> {
  await sink.beginSnapshot(table, schema, signal);
  for (let start = 0; start < rows.length; start += 10_000) {
    const events = rows.slice(start, start + 10_000).map((after): Change => ({ op: 'r', after }));
    await sink.write(changesOf(schema, events, table), signal);
  }
  await sink.endSnapshot(table, signal);
}
