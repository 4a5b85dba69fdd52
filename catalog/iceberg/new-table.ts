import { randomUUID } from 'node:crypto';
import { splitName } from './catalog.ts';
import { fileUri } from './location.ts';
import type { TableBase } from './snapshot-builder.ts';
import type { TableMetadata } from './table-metadata.ts';

/** A table that does not exist yet, in a folder of its own below `warehouse`; nothing is written. */
export function newTable(name: string, warehouse: string): TableBase {
  const uuid = randomUUID();
  const { namespaceName, name: table } = splitName(name);
  // The uuid keeps a table apart from an earlier one of its name, whose files may still be there.
  const folder = `${warehouse}/${folderName(namespaceName)}/${folderName(table)}-${uuid.slice(0, 8)}`;
  const metadata: TableMetadata = {
    'format-version': 2,
    'table-uuid': uuid,
    location: fileUri(folder),
    'last-sequence-number': 0n,
    'last-updated-ms': 0,
    'last-column-id': 0,
    schemas: [{ type: 'struct', 'schema-id': 0, fields: [] }],
    'current-schema-id': 0,
    'partition-specs': [{ 'spec-id': 0, fields: [] }],
    'default-spec-id': 0,
    'last-partition-id': 999,
    properties: {
      'write.format.default': 'parquet',
      'write.parquet.compression-codec': 'zstd',
      'write.delete.mode': 'merge-on-read',
      'write.update.mode': 'merge-on-read',
      'write.merge.mode': 'merge-on-read',
      'write.metadata.previous-versions-max': '20',
      'write.metadata.delete-after-commit.enabled': 'true',
    },
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [],
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    'default-sort-order-id': 0,
    refs: {},
  };
  return { metadataLocation: null, metadata, manifests: [] };
}

function folderName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_.-]/g, '_').replace(/^\.+/, '_');
}
