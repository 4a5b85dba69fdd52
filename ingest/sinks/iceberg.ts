import { z } from 'zod';
import { Turns } from '#catalog/iceberg/maintenance/turns.ts';
import { maintenanceSettings } from '#catalog/iceberg/metadata/table-properties.ts';
import type { Sink, SinkModule } from '../sink.ts';
import { dropUnseen } from './drop-unseen.ts';
import { parsePartition } from './iceberg-partition.ts';
import { IcebergSink, type IcebergSinkDeps } from './iceberg-sink.ts';
import { inTurns } from './in-turns.ts';

const config = z.strictObject({
  table: z
    .string()
    .regex(/^[^.\s]+(\.[^.\s]+)*\.[^.\s]+$/, 'must be namespace.table, as in "production.movie"')
    .meta({
      title: 'Table',
      description: 'namespace.table in the warehouse; {table} stands for the name of the source table.',
      examples: ['production.movie', 'production.{table}'],
    }),
  formatVersion: z.literal([2, 3], 'is 2 or 3: the Iceberg formats that can be written').optional().meta({
    title: 'Format version',
    description:
      'Version of the Iceberg table format: 2 for a new table if left out, and an older table keeps its own. 3 marks deleted rows by deletion vectors and gives rows a lineage; a table cannot go back from it.',
  }),
  partition: z
    .array(
      z.string().superRefine((text, context) => {
        const parsed = parsePartition(text);
        if ('problem' in parsed) context.addIssue({ code: 'custom', message: parsed.problem });
      }),
    )
    .default([])
    .meta({
      title: 'Partition',
      description:
        'Columns, or transforms of them, by which files are kept apart: year, month, day and hour of a date or time, bucket(number, column), truncate(width, column). None if empty; a change holds for files written from then on.',
      examples: [['month(released)'], ['territory', 'bucket(16, id)']],
    }),
  properties: z
    .record(z.string().min(1), z.union([z.string(), z.number(), z.boolean()]).transform(String))
    .superRefine((properties, context) => {
      for (const problem of maintenanceSettings(properties).problems) {
        context.addIssue({ code: 'custom', message: problem.replace(/; [^;]* holds instead\.$/, '') });
      }
    })
    .default({})
    .meta({
      title: 'Table properties',
      description:
        'Iceberg table properties that the table is given with its next commit; those that steer maintenance are listed on the table’s page.',
      examples: [{ 'history.expire.max-snapshot-age-ms': '7200000' }],
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
  open: (options, deps): Sink => {
    const turns = new Turns();
    return inTurns(new IcebergSink(options, { ...deps, turns }), turns);
  },
  dropUnseen,
};
