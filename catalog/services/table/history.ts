import { requireAccess } from '../../access/principal.ts';
import { DailiesError } from '../../error.ts';
import { mainLine } from '../../iceberg/maintenance/retention.ts';
import { fromIcebergSchema } from '../../iceberg/metadata/schema-conversion.ts';
import { liveRows, type Snapshot, schemaOf, type TableMetadata } from '../../iceberg/metadata/table-metadata.ts';
import type { TableCatalog } from '../../iceberg/tables/table-catalog.ts';
import { isOfUnfinished } from '../../iceberg/tables/unfinished.ts';
import { typeName } from '../../schemas/schema.ts';
import type { Scope } from '../scope.ts';

export interface TableHistory {
  /** Newest first, at most 200. */
  commits: TableCommit[];
  /** Snapshots that the table keeps. */
  commitCount: number;
}

export interface TableCommit {
  /** Decimal text. */
  snapshotId: string;
  at: Date;
  /** Tags and branches that stand at it, but for main. */
  names: string[];
  /** append | overwrite | delete | replace, as Iceberg names it. */
  operation: string;
  rows: number;
  added: number;
  removed: number;
  /** What changed in the columns with this commit, one sentence each. */
  schemaChanges: string[];
}

/** The table's commits with what each did to rows and columns. */
export async function tableHistory(
  scope: Scope & { catalog: Pick<TableCatalog, 'load'> },
  name: string,
): Promise<TableHistory> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  const entry = await scope.catalog.load(name);
  if (entry === null) throw new DailiesError('not_found', `There is no table ${name}.`, { details: { table: name } });
  const { metadata } = entry;
  const line = mainLine(metadata).filter((snapshot) => !isOfUnfinished(snapshot));
  return {
    commits: line.slice(0, 200).map((snapshot, index) => commit(metadata, snapshot, line[index + 1])),
    commitCount: line.length,
  };
}

function commit(metadata: TableMetadata, snapshot: Snapshot, before: Snapshot | undefined): TableCommit {
  const { summary } = snapshot;
  return {
    snapshotId: String(snapshot['snapshot-id']),
    at: new Date(snapshot['timestamp-ms']),
    names: Object.entries(metadata.refs).flatMap(([name, ref]) =>
      name !== 'main' && ref['snapshot-id'] === snapshot['snapshot-id'] ? [name] : [],
    ),
    operation: summary.operation ?? 'commit',
    rows: Number(liveRows(snapshot)),
    ...changedRows(summary),
    schemaChanges: before === undefined ? [] : schemaChanges(metadata, before['schema-id'], snapshot['schema-id']),
  };
}

/** Rows that came and went. A delete file takes over those of the one that it replaces, and a rewrite changes no row. */
function changedRows(summary: Snapshot['summary']): { added: number; removed: number } {
  if (summary.operation === 'replace') return { added: 0, removed: 0 };
  const of = (key: string) => Number(summary[key] ?? 0);
  const newDeletes = of('added-position-deletes') - of('removed-position-deletes');
  return { added: of('added-records'), removed: of('deleted-records') + newDeletes };
}

function schemaChanges(metadata: TableMetadata, before: number | undefined, after: number | undefined): string[] {
  if (before === after || before === undefined || after === undefined) return [];
  const old = columnsById(metadata, before);
  const next = columnsById(metadata, after);
  const changes: string[] = [];
  for (const [id, column] of next) {
    const was = old.get(id);
    if (was === undefined) changes.push(`${column.name} ${column.type} was added`);
    else if (was.name !== column.name) changes.push(`${was.name} was renamed to ${column.name}`);
    else if (was.type !== column.type) changes.push(`${column.name} went from ${was.type} to ${column.type}`);
  }
  for (const [id, column] of old) if (!next.has(id)) changes.push(`${column.name} was dropped`);
  return changes;
}

function columnsById(metadata: TableMetadata, schemaId: number): Map<number, { name: string; type: string }> {
  const schema = schemaOf(metadata, schemaId);
  const { fields } = fromIcebergSchema(schema, metadata.properties);
  return new Map(
    schema.fields.map((field, index) => [
      field.id,
      { name: field.name, type: fields[index] === undefined ? '' : typeName(fields[index].type) },
    ]),
  );
}
