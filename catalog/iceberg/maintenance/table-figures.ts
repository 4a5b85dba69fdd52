import { currentSnapshot, printTableMetadata, type TableMetadata } from '../metadata/table-metadata.ts';
import { maintenanceSettings } from '../metadata/table-properties.ts';
import { mainLine } from './retention.ts';

/** How a table's files and metadata stand. Times are ISO 8601. */
export interface TableFigures {
  snapshots: number;
  /** Tags that keep its history. */
  historyTags: number;
  dataFiles: number;
  deleteFiles: number;
  /** Of data and delete files of the current state. */
  bytes: number;
  metadataBytes: number;
  /** The oldest state that can still be read; null for a table without any. */
  oldestAsOf: string | null;
  /** Since when every state is kept. */
  wholeSince: string | null;
  /** Settings that could not be read, a sentence each. */
  problems: string[];
}

export function tableFigures(metadata: TableMetadata): TableFigures {
  const summary = currentSnapshot(metadata)?.summary ?? {};
  const line = mainLine(metadata);
  const oldest = line.at(-1);
  const log = metadata['snapshot-log'][0];
  return {
    snapshots: metadata.snapshots.length,
    historyTags: Object.keys(metadata.refs).filter((name) => name.startsWith('dailies-')).length,
    dataFiles: Number(summary['total-data-files'] ?? 0),
    deleteFiles: Number(summary['total-delete-files'] ?? 0),
    bytes: Number(summary['total-files-size'] ?? 0),
    metadataBytes: printTableMetadata(metadata).length,
    oldestAsOf: oldest ? new Date(oldest['timestamp-ms']).toISOString() : null,
    wholeSince: log ? new Date(log['timestamp-ms']).toISOString() : null,
    problems: maintenanceSettings(metadata.properties).problems,
  };
}
