import { requireAccess } from '../../access/principal.ts';
import { DailiesError } from '../../error.ts';
import type { IcebergCatalog } from '../../iceberg/catalog.ts';
import { walkFields } from '../../iceberg/schema-conversion.ts';
import type { IcebergSchema, IcebergType } from '../../iceberg/table-metadata.ts';
import type { Scope } from '../scope.ts';

export interface TableHistory {
  /** Newest first. */
  snapshots: {
    id: string;
    at: Date;
    operation: string;
    added: number | null;
    removed: number | null;
    rows: number | null;
  }[];
  /** What each schema changed against the one before, newest first; the first schema is left out. */
  schemaChanges: { schemaId: number; at: Date | null; changes: SchemaChange[] }[];
}

export type SchemaChange =
  | { kind: 'added' | 'dropped'; path: string; type: string }
  | { kind: 'renamed'; from: string; path: string }
  | { kind: 'retyped'; path: string; from: string; type: string };

/** Snapshots that the table keeps, and its changes of schema by field id. */
export async function tableHistory(
  scope: Scope & { catalog: IcebergCatalog },
  name: string,
  limit = 100,
): Promise<TableHistory> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  const table = await scope.catalog.load(name);
  if (table === null) throw new DailiesError('not_found', `There is no table ${name}.`, { details: { table: name } });
  const { snapshots, schemas } = table.metadata;
  const firstUse = new Map<number, number>();
  for (const snapshot of snapshots) {
    const id = snapshot['schema-id'];
    if (id !== undefined && !firstUse.has(id)) firstUse.set(id, snapshot['timestamp-ms']);
  }
  const ordered = [...schemas].sort((a, b) => a['schema-id'] - b['schema-id']);
  return {
    snapshots: snapshots
      .slice(-limit)
      .reverse()
      .map(({ summary, ...snapshot }) => ({
        id: String(snapshot['snapshot-id']),
        at: new Date(snapshot['timestamp-ms']),
        operation: summary.operation ?? 'append',
        added: count(summary['added-records']),
        removed: count(summary['added-position-deletes']),
        rows: difference(count(summary['total-records']), count(summary['total-position-deletes'])),
      })),
    schemaChanges: ordered
      .slice(1)
      .map((schema, index) => {
        const at = firstUse.get(schema['schema-id']);
        return {
          schemaId: schema['schema-id'],
          at: at === undefined ? null : new Date(at),
          changes: diffSchemas(ordered[index] ?? schema, schema),
        };
      })
      .reverse(),
  };
}

function diffSchemas(before: IcebergSchema, after: IcebergSchema): SchemaChange[] {
  const old = new Map([...walkFields(before.fields)].map((entry) => [entry.field.id, entry]));
  const changes: SchemaChange[] = [];
  for (const { path, field } of walkFields(after.fields)) {
    const was = old.get(field.id);
    old.delete(field.id);
    const type = typeWords(field.type);
    if (was === undefined) changes.push({ kind: 'added', path, type });
    else {
      if (was.path !== path) changes.push({ kind: 'renamed', from: was.path, path });
      const from = typeWords(was.field.type);
      if (from !== type) changes.push({ kind: 'retyped', path, from, type });
    }
  }
  for (const { path, field } of old.values()) changes.push({ kind: 'dropped', path, type: typeWords(field.type) });
  return changes;
}

/** A nested type's own fields are walked by themselves. */
function typeWords(type: IcebergType): string {
  if (typeof type === 'string') return type;
  return type.type === 'list' ? `list<${typeWords(type.element)}>` : type.type;
}

function count(text: string | undefined): number | null {
  return text === undefined ? null : Number(text);
}

function difference(a: number | null, b: number | null): number | null {
  return a === null ? null : a - (b ?? 0);
}
