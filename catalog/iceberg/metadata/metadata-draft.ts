import type { TableMetadata } from './table-metadata.ts';

/** Metadata in the making: a copy whose lists may be replaced, and what the updates so far have added. */
export interface MetadataDraft {
  metadata: TableMetadata;
  nowMs: number;
  /** Ids that -1 stands for. */
  lastSchemaId: number | null;
  lastSpecId: number | null;
  lastSortOrderId: number | null;
  addedSnapshots: Set<bigint>;
  /** Snapshots of this commit that were current and no longer are: the log tells only of the last one. */
  passedSnapshots: Set<bigint>;
}
