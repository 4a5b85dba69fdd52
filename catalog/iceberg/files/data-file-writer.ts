import { type DuckDBConnection, DuckDBMapValue, type DuckDBValue } from '@duckdb/node-api';
import type { Schema, Value } from '../../schemas/schema.ts';
import { encodeBound } from '../manifests/bounds.ts';
import { emptyStatistics, type Leaf, type Statistics, statisticsLeaves } from '../manifests/column-statistics.ts';
import { type DataFile, plainDataFile } from '../manifests/manifest.ts';
import type { IcebergField, IcebergSchema, IcebergType } from '../metadata/table-metadata.ts';
import { diskError } from '../storage/location.ts';
import { newFile } from '../storage.ts';
import { fromDuckdb, identifier, literal } from './duckdb-values.ts';
import { ExactFileWriter } from './exact-file-writer.ts';
import { needsExactFile } from './parquet-schema.ts';
import { RowAppender } from './row-appender.ts';
import { zeroSignOptions } from './zero-signs.ts';

/** What a file of rows is written with: our schema and the same in Iceberg, field by field. */
export interface FileSchema {
  schema: Schema;
  iceberg: IcebergSchema;
}

/** A data file is closed beyond either of these. */
export const maxFileRows = 1_000_000;
export const maxFileBytes = 128 << 20;

/** A data file that rows are appended to. After `finish` or `abandon` it is spent. */
export interface RowFile {
  /** Rows appended so far: the next row's position in the file. */
  readonly rows: number;
  append(row: readonly Value[]): void;
  /**
   * Writes the file whole; durable but for its folder's entry. Its spec and partition are the caller's to say. `bytes` is about
   * what its rows take in memory.
   */
  finish(bytes?: number): Promise<DataFile>;
  /** Forgets the rows and what is written of them. */
  abandon(): Promise<void>;
}

/** Begins a data file at a location, written by whom its types need. */
export async function openDataFile(
  connection: DuckDBConnection,
  fileSchema: FileSchema,
  location: string,
): Promise<RowFile> {
  return needsExactFile(fileSchema.schema.fields)
    ? new ExactFileWriter(fileSchema, location)
    : await DuckdbFileWriter.open(connection, fileSchema, location);
}

/** Rows are gathered in DuckDB's memory and written out by `finish`. */
class DuckdbFileWriter implements RowFile {
  readonly #connection: DuckDBConnection;
  readonly #fileSchema: FileSchema;
  readonly #location: string;
  readonly #gathered: RowAppender;
  #rows = 0;

  private constructor(connection: DuckDBConnection, fileSchema: FileSchema, location: string, gathered: RowAppender) {
    this.#connection = connection;
    this.#fileSchema = fileSchema;
    this.#location = location;
    this.#gathered = gathered;
  }

  static async open(connection: DuckDBConnection, fileSchema: FileSchema, location: string): Promise<DuckdbFileWriter> {
    const gathered = await RowAppender.open(connection, fileSchema.schema.fields);
    return new DuckdbFileWriter(connection, fileSchema, location, gathered);
  }

  get rows(): number {
    return this.#rows;
  }

  append(row: readonly Value[]): void {
    this.#gathered.append(row);
    this.#rows += 1;
  }

  async finish(bytes?: number): Promise<DataFile> {
    this.#gathered.finish();
    try {
      return await copyToFile(
        this.#connection,
        `SELECT * FROM ${this.#gathered.table}`,
        this.#fileSchema,
        this.#location,
        bytes === undefined ? {} : { bytes },
      );
    } finally {
      await this.#gathered.drop();
    }
  }

  async abandon(): Promise<void> {
    await this.#gathered.drop();
  }
}

/**
 * A file of so few bytes is not compressed: every query reads it until it is compacted, within minutes, and unpacking it costs
 * about half of that. In a bucket it is, for there it travels.
 */
const plainBelowBytes = 8 << 20;

/** DuckDB's own size of a row group. */
const groupRows = 122_880;
/** It holds two row groups or three at a time, of whole vectors of rows. */
const groupBytes = 16 << 20;
const vectorRows = 2_048;

/**
 * Writes the rows of a SELECT, in its order, as one Parquet data file with field ids, and flushes it to disk. `size` tells
 * about what all of them take in memory, where that is known, and one of them: row groups of wide rows have fewer of them, for
 * DuckDB holds them in memory.
 */
export async function copyToFile(
  connection: DuckDBConnection,
  select: string,
  { schema, iceberg }: FileSchema,
  location: string,
  size: { bytes?: number; rowBytes?: number } = {},
): Promise<DataFile> {
  if (needsExactFile(schema.fields)) return await copyRows(connection, select, { schema, iceberg }, location);
  const target = newFile(location);
  const isPlain = location.startsWith('file:') && (size.bytes ?? Infinity) < plainBelowBytes;
  const codec = isPlain ? 'uncompressed' : 'zstd';
  let row: readonly DuckDBValue[] | undefined;
  try {
    const zeros = await zeroSignOptions(connection, select, schema.fields);
    const copy = `COPY (${select}) TO ${literal(target.path)} (FORMAT parquet, COMPRESSION ${codec}, RETURN_STATS, ROW_GROUP_SIZE ${rowsOfGroup(size.rowBytes ?? 0)}, FIELD_IDS ${fieldIdsClause(iceberg.fields)}${zeros})`;
    row = (await connection.runAndReadAll(copy)).getRows()[0];
  } catch (thrown) {
    await target.abandon();
    throw diskError(thrown, target.path);
  }
  await target.finish();
  const [, count, sizeBytes, , statistics] = row ?? [];
  return {
    ...plainDataFile,
    location,
    recordCount: Number(count),
    sizeBytes: Number(sizeBytes),
    ...columnStatistics(statistics ?? null, schema, iceberg, Number(count)),
  };
}

function rowsOfGroup(rowBytes: number): number {
  const vectors = Math.floor(groupBytes / Math.max(rowBytes, 1) / vectorRows);
  return Math.min(groupRows, Math.max(1, vectors) * vectorRows);
}

async function copyRows(
  connection: DuckDBConnection,
  select: string,
  fileSchema: FileSchema,
  location: string,
): Promise<DataFile> {
  const convert = fileSchema.schema.fields.map((field) => fromDuckdb(field.type));
  const result = await connection.stream(select);
  const writer = new ExactFileWriter(fileSchema, location);
  try {
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
      for (const row of chunk.getRows()) writer.append(convert.map((read, index) => read(row[index] ?? null)));
    }
    return await writer.finish();
  } catch (thrown) {
    await writer.abandon();
    throw thrown;
  }
}

function fieldIdsClause(fields: readonly IcebergField[]): string {
  return `{${fields.map((field) => `${identifier(field.name)}: ${fieldIdOf(field.id, field.type)}`).join(', ')}}`;
}

function fieldIdOf(id: number, type: IcebergType): string {
  if (typeof type === 'string') return String(id);
  switch (type.type) {
    case 'struct': {
      const nested = type.fields.map((field) => `${identifier(field.name)}: ${fieldIdOf(field.id, field.type)}`);
      return `{__duckdb_field_id: ${id}, ${nested.join(', ')}}`;
    }
    case 'list':
      return `{__duckdb_field_id: ${id}, element: ${fieldIdOf(type['element-id'], type.element)}}`;
    case 'map': {
      const key = fieldIdOf(type['key-id'], type.key);
      const value = fieldIdOf(type['value-id'], type.value);
      return `{__duckdb_field_id: ${id}, key: ${key}, value: ${value}}`;
    }
  }
}

/** Counts and bounds of the columns outside lists, by field id, from what COPY's RETURN_STATS tells as text. */
function columnStatistics(
  statistics: DuckDBValue,
  schema: Schema,
  iceberg: IcebergSchema,
  recordCount: number,
): Statistics {
  const byPath = new Map<string, Map<string, string>>();
  if (statistics instanceof DuckDBMapValue) {
    for (const { key, value } of statistics.entries) {
      if (!(value instanceof DuckDBMapValue)) continue;
      byPath.set(String(key), new Map(value.entries.map((entry) => [String(entry.key), String(entry.value)])));
    }
  }
  const result = emptyStatistics();
  for (const leaf of statisticsLeaves(schema.fields, iceberg.fields)) {
    const facts = byPath.get(leaf.path.map(identifier).join('.'));
    if (!facts) continue;
    setNumber(result.columnSizes, leaf.id, facts.get('column_size_bytes'));
    setNumber(result.nullCounts, leaf.id, facts.get('null_count'));
    result.valueCounts.set(leaf.id, recordCount);
    if (facts.get('has_nan') === 'true') continue;
    if (leaf.type.kind === 'float' || leaf.type.kind === 'double') result.nanCounts.set(leaf.id, 0);
    setBound(result.lowerBounds, leaf, facts.get('min'), 'lower');
    setBound(result.upperBounds, leaf, facts.get('max'), 'upper');
  }
  return result;
}

function setNumber(map: Map<number, number>, id: number, text: string | undefined): void {
  if (text !== undefined && /^\d+$/.test(text)) map.set(id, Number(text));
}

function setBound(map: Map<number, Uint8Array>, leaf: Leaf, text: string | undefined, side: 'lower' | 'upper'): void {
  const bound = text === undefined ? null : encodeBound(leaf.type, text, side);
  if (bound) map.set(leaf.id, bound);
}
