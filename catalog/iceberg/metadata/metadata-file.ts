import { randomUUID } from 'node:crypto';
import { makeTableFolders, syncTableFolders, writeBytes } from '../storage.ts';
import type { TableEntry } from '../tables/table-catalog.ts';
import { encodeMetadataFile, rememberTableMetadata, type TableMetadata } from './table-metadata.ts';

/** The specification's default of `write.metadata.previous-versions-max`. */
const defaultPreviousVersions = 100;

/**
 * Writes the table's next metadata file; durable when resolved, visible to nobody before the catalog's pointer moves to
 * it. Its `metadata-log` is that of `previous` with the file before it, as many as the table's properties keep.
 */
export async function writeMetadataFile(previous: TableEntry | null, metadata: TableMetadata): Promise<TableEntry> {
  const next: TableMetadata = { ...metadata, 'metadata-log': metadataLog(previous, metadata) };
  const { bytes, suffix, textLength } = encodeMetadataFile(next);
  const file = `${nextVersion(previous?.metadataLocation ?? '')}-${randomUUID()}${suffix}`;
  const metadataLocation = `${next.location}/metadata/${file}`;
  if (previous?.metadata.location !== next.location) await makeTableFolders(next.location);
  await writeBytes(metadataLocation, bytes);
  await syncTableFolders(next.location);
  rememberTableMetadata(metadataLocation, next, textLength);
  return { metadataLocation, metadata: next };
}

function metadataLog(previous: TableEntry | null, metadata: TableMetadata): TableMetadata['metadata-log'] {
  if (previous === null) return [];
  const entry = {
    'timestamp-ms': previous.metadata['last-updated-ms'],
    'metadata-file': previous.metadataLocation,
  };
  const asked = Number(metadata.properties['write.metadata.previous-versions-max'] ?? defaultPreviousVersions);
  const kept = Number.isInteger(asked) && asked >= 1 ? asked : defaultPreviousVersions;
  return [...previous.metadata['metadata-log'], entry].slice(-kept);
}

function nextVersion(location: string): string {
  const current = /\/(\d+)-[^/]*$/.exec(location)?.[1];
  return String(current === undefined ? 0 : Number(current) + 1).padStart(5, '0');
}
