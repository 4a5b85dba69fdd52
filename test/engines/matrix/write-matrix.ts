import type { TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import type { MatrixTable } from './tables.ts';

/** Writes the tables into `matrix`, as a pipeline's sink does, one pipeline for each way of writing. */
export async function writeMatrix(warehouse: TestWarehouse, tables: readonly MatrixTable[]): Promise<void> {
  for (const [pipeline, members] of Map.groupBy(tables, pipelineOf)) {
    const [first] = members;
    if (first === undefined) continue;
    const { formatVersion } = first;
    const sourceTables = members.map(sourceTable);
    const open = (partition: readonly string[]) =>
      openSink(warehouse, { pipeline, table: 'matrix.{table}', sourceTables, formatVersion, partition });
    let sink = open(first.partition);
    const steps = Math.max(...members.map((table) => table.steps.length));
    for (let index = 0; index < steps; index++) {
      for (const table of members) {
        const step = table.steps[index];
        if (step?.kind === 'snapshot') await snapshot(sink, step.schema, step.rows, sourceTable(table));
        if (step?.kind === 'changes')
          await sink.write(changesOf(step.schema, step.changes, sourceTable(table)), signal);
        if (step?.kind === 'partition') {
          await sink.close();
          sink = open(step.partition);
        }
      }
      await sink.commit(position(index + 1), signal);
    }
    await sink.close();
  }
}

/** Tables that are written alike are written by one pipeline; one whose partitions change has its own. */
function pipelineOf({ name, formatVersion, partition, steps }: MatrixTable): string {
  if (steps.some((step) => step.kind === 'partition')) return name;
  return `v${formatVersion} ${partition.join(' ')}`.trim();
}

function sourceTable(table: MatrixTable): string {
  return `production.public.${table.name}`;
}
