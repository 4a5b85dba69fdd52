import { z } from 'zod';
import type { Sink, SinkModule } from '../sink.ts';
import { IcebergSink, type IcebergSinkDeps } from './iceberg-sink.ts';

const config = z.strictObject({
  table: z
    .string()
    .regex(/^[^.\s]+(\.[^.\s]+)*\.[^.\s]+$/, 'must be namespace.table, as in "production.movie"')
    .meta({
      title: 'Table',
      description: 'namespace.table in the warehouse; {table} stands for the name of the source table.',
      examples: ['production.movie', 'production.{table}'],
    }),
  formatVersion: z
    .literal(2, 'only format version 2 can be written yet')
    .default(2)
    .meta({ title: 'Format version', description: 'Version of the Iceberg table format.' }),
  partition: z.array(z.string()).max(0, 'partitions are not supported yet: leave `partition` out').default([]).meta({
    title: 'Partition',
    description: 'Transforms of columns by which the table is partitioned; none if empty.',
  }),
  mode: z.enum(['mirror', 'changes']).default('mirror').meta({
    title: 'Mode',
    description:
      'mirror: the table equals its source. changes: every change is appended, with op, before and the time of its commit.',
  }),
});

/** Lands tables in the warehouse, each commit as one Iceberg snapshot: their rows, or with `mode: changes` every change. */
export const icebergSink: SinkModule<typeof config, IcebergSinkDeps> = {
  kind: 'sink',
  id: 'iceberg',
  title: 'Iceberg table',
  summary:
    'Keeps a table of the warehouse equal to its source, or appends every change; any Iceberg engine can read it.',
  config,
  open: (options, deps): Sink => new IcebergSink(options, deps),
};
