import { zstdCompressSync } from 'node:zlib';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';
import type { FieldType, Schema, Value } from '../../schemas/schema.ts';
import { StatisticsCollector } from '../manifests/column-statistics.ts';
import { type DataFile, plainDataFile } from '../manifests/manifest.ts';
import type { IcebergSchema } from '../metadata/iceberg-schema.ts';
import { diskError } from '../storage/location.ts';
import { type NewFile, newFile } from '../storage.ts';
import { parquetSchema } from './parquet-schema.ts';
import { hasFloats } from './zero-signs.ts';

const groupRows = 50_000;

/**
 * Writes one Parquet data file in exactly the physical types that the specification names, a row group at a time. Slower
 * than DuckDB, which is left to all files whose types it writes as they should be.
 */
export class ExactFileWriter {
  readonly #schema: Schema;
  readonly #location: string;
  readonly #file: NewFile;
  readonly #output: ReturnType<typeof fileWriter>;
  readonly #parquet: ParquetWriter;
  readonly #statistics: StatisticsCollector;
  readonly #convert: ((value: Value) => unknown)[];
  #columns: unknown[][];
  #buffered = 0;
  #rows = 0;

  constructor({ schema, iceberg }: { schema: Schema; iceberg: IcebergSchema }, location: string) {
    this.#schema = schema;
    this.#location = location;
    this.#file = newFile(location);
    this.#output = this.#tried(() => fileWriter(this.#file.path));
    this.#parquet = new ParquetWriter({
      writer: this.#output,
      schema: parquetSchema(schema.fields, iceberg.fields),
      codec: 'ZSTD',
      compressors: { ZSTD: (bytes) => new Uint8Array(zstdCompressSync(bytes)) },
      createdBy: 'Dailies',
    });
    this.#statistics = new StatisticsCollector(schema.fields, iceberg.fields);
    this.#convert = schema.fields.map((field) => toParquet(field.type));
    this.#columns = schema.fields.map(() => []);
  }

  /** Rows appended so far: the next row's position in the file. */
  get rows(): number {
    return this.#rows;
  }

  append(row: readonly Value[]): void {
    this.#statistics.add(row);
    for (const [index, column] of this.#columns.entries()) column.push(this.#convert[index]?.(row[index] ?? null));
    this.#buffered += 1;
    this.#rows += 1;
    if (this.#buffered === groupRows) this.#flushGroup();
  }

  /** Finishes the file and flushes it to disk; its folder is flushed by the caller. The writer is spent. */
  async finish(): Promise<DataFile> {
    this.#flushGroup();
    this.#tried(() => this.#parquet.finish());
    const sizeBytes = this.#output.offset;
    await this.#file.finish();
    return {
      ...plainDataFile,
      location: this.#location,
      recordCount: this.#rows,
      sizeBytes,
      ...this.#statistics.result(),
    };
  }

  /** Removes what is written so far. The writer is spent. */
  async abandon(): Promise<void> {
    await this.#file.abandon();
  }

  #flushGroup(): void {
    if (this.#buffered === 0) return;
    const columnData = this.#schema.fields.map((field, index) => ({
      name: field.name,
      data: this.#columns[index] ?? [],
      ...(isPlain(field.type) ? { encoding: 'PLAIN' as const } : {}),
    }));
    this.#tried(() => this.#parquet.write({ columnData, rowGroupSize: groupRows }));
    this.#columns = this.#schema.fields.map(() => []);
    this.#buffered = 0;
  }

  #tried<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      throw diskError(thrown, this.#file.path);
    }
  }
}

/** Spark's vectorized reader takes booleans in no other encoding; a dictionary would make one word of -0 and 0. */
function isPlain(type: FieldType): boolean {
  return type.kind === 'boolean' || hasFloats(type);
}

/** A function that turns a field's values into the writer's: structs by name, uuids as bytes, the rest as it is. */
function toParquet(type: FieldType): (value: Value) => unknown {
  switch (type.kind) {
    case 'uuid':
      return (value) => (value === null ? null : Buffer.from((value as string).replaceAll('-', ''), 'hex'));
    case 'struct': {
      const fields = type.fields.map((field) => ({ name: field.name, convert: toParquet(field.type) }));
      return (value) => {
        if (value === null) return null;
        const values = value as readonly Value[];
        return Object.fromEntries(fields.map(({ name, convert }, index) => [name, convert(values[index] ?? null)]));
      };
    }
    case 'list': {
      const convert = toParquet(type.element);
      return (value) => (value === null ? null : (value as readonly Value[]).map(convert));
    }
    case 'map': {
      const key = toParquet(type.key);
      const mapped = toParquet(type.value);
      return (value) => {
        if (value === null) return null;
        const entries = value as readonly (readonly Value[])[];
        return entries.map((entry) => ({ key: key(entry[0] ?? null), value: mapped(entry[1] ?? null) }));
      };
    }
    default:
      return (value) => value;
  }
}
