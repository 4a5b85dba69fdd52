import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ancestors, type TableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { listFiles, removeFiles } from '#catalog/iceberg/storage.ts';
import type { TableCatalog } from '#catalog/iceberg/tables/table-catalog.ts';
import { isUnfinished } from '#catalog/iceberg/tables/unfinished.ts';
import type { LeftBehind } from '../sink.ts';
import { pipelineProperty } from './iceberg-sink.ts';

const filesAtOnce = 500;

/**
 * Drops a table whose first snapshot a pipeline has left unfinished, so that nobody ever saw it, with its files and what was
 * derived from it. One that people see, or that another pipeline has written, stays; in a folder that is not its own, its
 * files stay.
 */
export async function dropUnseen(
  { target: name, pipeline, location }: LeftBehind,
  deps: { catalog: TableCatalog; indexDir: string },
  onDrop: (location: string) => Promise<void>,
): Promise<boolean> {
  const entry = await deps.catalog.load(name, 'all');
  if (!entry) {
    if (location !== null) await removeFolder(location);
    return location !== null;
  }
  const { metadata } = entry;
  if (!isUnfinished(metadata) || writtenBy(metadata) !== pipeline) return false;
  if (!isOwnFolder(metadata)) {
    await deps.catalog.drop(name);
    return true;
  }
  await onDrop(metadata.location);
  await deps.catalog.drop(name);
  await removeFolder(metadata.location);
  for (const folder of [metadata['table-uuid'], `${metadata['table-uuid']}-rows`])
    await rm(join(deps.indexDir, folder), { recursive: true, force: true });
  return true;
}

/** As `newTableLocation` makes it: the folder of this table alone. */
function isOwnFolder({ location, 'table-uuid': uuid }: TableMetadata): boolean {
  return location.endsWith(`-${uuid.slice(0, 8)}`);
}

function writtenBy(metadata: TableMetadata): string | null {
  for (const { summary } of ancestors(metadata)) {
    const pipeline = summary[pipelineProperty];
    if (pipeline !== undefined) return pipeline;
  }
  return null;
}

async function removeFolder(location: string): Promise<void> {
  let files: string[] = [];
  for await (const file of listFiles(`${location}/`)) {
    files.push(file.location);
    if (files.length < filesAtOnce) continue;
    await removeFiles(files);
    files = [];
  }
  await removeFiles(files);
}
