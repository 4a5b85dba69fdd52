import { DailiesError } from '../../error.ts';
import { identifier, literal } from '../files/duckdb-values.ts';
import { tupleKey } from '../files/partitioner.ts';
import type { DataFile, ManifestEntry } from '../manifests/manifest.ts';
import type { IcebergField } from '../metadata/iceberg-schema.ts';
import { schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import type { ScannedFile } from './live-files.ts';
import { innerName, type ScanColumn, scanColumns } from './scan-columns.ts';

/*
 * Equality deletes (iceberg.apache.org/spec, Equality Delete Files), which other engines write: files of values; rows of older
 * data files that have the same values, NULL being equal to NULL, are deleted. One of a partitioned spec applies to its own
 * partition alone. Older is by sequence number, so each row of either side carries its file's:
 *
 *   data ANTI JOIN (values, newest sequence number) ON values IS NOT DISTINCT FROM and data's number < theirs
 */

/** Where the value of an equality id is: a column, and the names of struct fields below it. */
interface KeyPart {
  column: ScanColumn;
  below: string[];
}

/** What all equality deletes of a scan compare, by field id. */
export type EqualityKeys = ReadonlyMap<number, KeyPart>;

/** Finds the columns that equality deletes compare, those that the table has dropped since, too. Throws `table_corrupt`. */
export function equalityKeys(
  metadata: TableMetadata,
  read: readonly ScanColumn[],
  files: readonly ScannedFile[],
): EqualityKeys {
  const ids = new Set(files.flatMap((file) => file.equalityDeletes.flatMap(({ file }) => file.equalityIds ?? [])));
  const keys = new Map<number, KeyPart>();
  if (ids.size === 0) return keys;
  const others = [...metadata.schemas].sort((a, b) => b['schema-id'] - a['schema-id']);
  const older = [schemaOf(metadata), ...others].flatMap((schema) => scanColumns(schema, {}).columns);
  for (const id of ids) {
    const part = [...read, ...older].map((column) => partOf(column, id)).find((found) => found !== null);
    if (!part) {
      throw new DailiesError(
        'table_corrupt',
        `An equality delete compares column ${id}, which the table's schemas do not have.`,
      );
    }
    keys.set(id, part);
  }
  return keys;
}

function partOf(column: ScanColumn, id: number): KeyPart | null {
  const below = pathTo(column.iceberg, id);
  return below === null ? null : { column, below };
}

function pathTo(field: IcebergField, id: number): string[] | null {
  if (field.id === id) return [];
  if (typeof field.type === 'string' || field.type.type !== 'struct') return null;
  for (const inner of field.type.fields) {
    const rest = pathTo(inner, id);
    if (rest) return [inner.name, ...rest];
  }
  return null;
}

/** Columns that the deletes compare besides those that are read: an older schema's, where the table has dropped them. */
export function keyColumns(keys: EqualityKeys, read: readonly ScanColumn[]): ScanColumn[] {
  const known = new Set(read.map((column) => column.id));
  const extra = new Map([...keys.values()].map(({ column }) => [column.id, column]));
  return [...extra.values()].filter((column) => !known.has(column.id));
}

/** The joins that leave out deleted rows of `data`. `relation` gives the SELECT that reads files as columns, `f` their index. */
export function equalityJoins(
  keys: EqualityKeys,
  files: readonly ScannedFile[],
  relation: (columns: readonly ScanColumn[], files: readonly DataFile[]) => string,
): string {
  const deletes = new Set(files.flatMap((file) => file.equalityDeletes));
  const groups = Map.groupBy(deletes, ({ file }) => `${[...(file.equalityIds ?? [])].sort().join()} ${isGlobal(file)}`);
  const dataFiles = files.map(({ data }) => data);
  return [...groups.values()]
    .map((entries, index) => {
      const ids = entries[0]?.file.equalityIds ?? [];
      const parts = ids.flatMap((id) => keys.get(id) ?? []);
      const columns = [...new Map(parts.map(({ column }) => [column.id, column])).values()];
      const name = `gone${index}`;
      const isScoped = entries.some(({ file }) => !isGlobal(file));
      const values = parts.map((part, at) => `${keyValue(part, 'deleted')} AS k${at}`);
      const group = [...parts.keys()].map((at) => `k${at}`).concat(isScoped ? ['p'] : []);
      const source = `SELECT ${[...values, `${sequences(entries, 'deleted')} AS s`, ...(isScoped ? [`${partitions(entries, 'deleted')} AS p`] : [])].join(', ')} FROM (${relation(
        columns,
        entries.map(({ file }) => file),
      )}) AS deleted`;
      const newest = `SELECT ${[...group, 'max(s) AS s'].join(', ')} FROM (${source}) GROUP BY ${group.join(', ')}`;
      const conditions = [
        ...parts.map((part, at) => `${keyValue(part, 'data')} IS NOT DISTINCT FROM ${name}.k${at}`),
        `${name}.s > ${sequences(dataFiles, 'data')}`,
        ...(isScoped ? [`${name}.p = ${partitions(dataFiles, 'data')}`] : []),
      ];
      return `ANTI JOIN (${newest}) AS ${name} ON ${conditions.join(' AND ')}`;
    })
    .join(' ');
}

function isGlobal(file: DataFile): boolean {
  return file.partition.length === 0;
}

function keyValue({ column, below }: KeyPart, alias: string): string {
  return [`${alias}.${innerName(column)}`, ...below.map(identifier)].join('.');
}

function sequences(entries: readonly ManifestEntry[], alias: string): string {
  return `[${entries.map((entry) => `${entry.sequenceNumber}::BIGINT`).join(', ')}][${alias}.f + 1]`;
}

function partitions(entries: readonly ManifestEntry[], alias: string): string {
  const names = entries.map(({ file }) => literal(`${file.specId} ${tupleKey(file.partition)}`));
  return `[${names.join(', ')}][${alias}.f + 1]`;
}
