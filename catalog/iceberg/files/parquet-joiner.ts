import { type FileHandle, open } from 'node:fs/promises';
import { DailiesError } from '../../error.ts';
import { type FieldType, isNested, type Value } from '../../schemas/schema.ts';
import { boundOf, emptyStatistics, widened } from '../manifests/column-statistics.ts';
import { type DataFile, plainDataFile } from '../manifests/manifest.ts';
import { decodeSingleValue } from '../metadata/single-value.ts';
import { diskError } from '../storage/location.ts';
import { type NewFile, newFile } from '../storage.ts';
import type { FileSchema } from './data-file-writer.ts';
import { needsExactFile } from './parquet-schema.ts';
import {
  readThrift,
  ThriftList,
  ThriftStruct,
  typeBytes,
  typeInteger,
  typeLong,
  writeThrift,
} from './thrift-compact.ts';

/*
 * Parquet files joined without being decoded (github.com/apache/parquet-format, parquet.thrift):
 *
 *   "PAR1"  pages of file 1  pages of file 2  …  footer  its length (4 bytes, little-endian)  "PAR1"
 *
 * Pages know neither their columns' names nor where they stand. Row groups tell where theirs are, from the file's start, so
 * that those of later files are moved; names and field ids are in the footer alone.
 */
const magic = Buffer.from('PAR1');
const fileMetadata = { version: 1, schema: 2, rows: 3, groups: 4, createdBy: 6, columnOrders: 7 } as const;
const element = { name: 4, children: 5, fieldId: 9 } as const;
const group = { columns: 1, rows: 3, fileOffset: 5, ordinal: 7 } as const;
const column = { fileOffset: 2, metadata: 3, offsetIndex: 4, columnIndex: 6 } as const;
const columnMetadata = {
  path: 3,
  values: 5,
  size: 7,
  dataPage: 9,
  indexPage: 10,
  dictionary: 11,
  statistics: 12,
  bloom: 14,
} as const;
const statistics = { nulls: 3, max: 5, min: 6 } as const;

/** What is known of one column of all row groups. */
interface ColumnFacts {
  sizeBytes: number;
  nulls: number | null;
  /** Null once a row group has values and does not tell their bounds. */
  bounds: { lowest: Value; highest: Value } | null;
}

/** Joins Parquet files that DuckDB wrote with a column for each field, in their order, to one data file of the table. */
export class ParquetJoiner {
  readonly #fileSchema: FileSchema;
  readonly #location: string;
  readonly #file: NewFile;
  readonly #columns: ColumnFacts[];
  #handle: FileHandle | null = null;
  #footer: ThriftStruct | null = null;
  #groups: ThriftStruct[] = [];
  #bytes = 0;
  #rows = 0;

  constructor(fileSchema: FileSchema, location: string) {
    this.#fileSchema = fileSchema;
    this.#location = location;
    this.#file = newFile(location);
    this.#columns = fileSchema.schema.fields.map(() => ({
      sizeBytes: 0,
      nulls: 0,
      bounds: { lowest: null, highest: null },
    }));
  }

  /** False for columns that are more than one of the file's, or that the specification wants in another form than DuckDB's. */
  static canJoin({ schema }: FileSchema): boolean {
    return !schema.fields.some((field) => isNested(field.type)) && !needsExactFile(schema.fields);
  }

  get rows(): number {
    return this.#rows;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Appends the rows of a file; false where its columns are stored otherwise than those before, and nothing is changed. */
  async append(parquet: Uint8Array): Promise<boolean> {
    const bytes = Buffer.from(parquet.buffer, parquet.byteOffset, parquet.byteLength);
    const end = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
    const footer = readThrift(bytes.subarray(end, bytes.length - 8));
    const named = footer.withStructs(fileMetadata.schema, this.#named(footer.structs(fileMetadata.schema)));
    if (this.#footer && !isSameSchema(this.#footer, named)) return false;
    try {
      if (!this.#handle) {
        this.#handle = await open(this.#file.path, 'wx');
        await this.#write(magic);
      }
      const shift = BigInt(this.#bytes - magic.length);
      for (const one of footer.structs(fileMetadata.groups)) this.#take(one, shift);
      await this.#write(bytes.subarray(magic.length, end));
    } catch (thrown) {
      throw diskError(thrown, this.#file.path);
    }
    this.#footer ??= named;
    this.#rows += Number(footer.integer(fileMetadata.rows) ?? 0);
    return true;
  }

  /** The file, durable but for its folder's entry. At least one file was appended. */
  async finish(): Promise<DataFile> {
    const { iceberg, schema } = this.#fileSchema;
    const footer = this.#footer;
    if (!footer) throw new DailiesError('internal', 'A data file of no files was to be joined.');
    const whole = footer
      .with(fileMetadata.rows, typeLong, BigInt(this.#rows))
      .withStructs(fileMetadata.groups, this.#groups);
    const bytes = writeThrift(whole);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    try {
      await this.#write(Buffer.concat([bytes, length, magic]));
      await this.#close();
    } catch (thrown) {
      throw diskError(thrown, this.#file.path);
    }
    await this.#file.finish();
    const facts = emptyStatistics();
    for (const [index, { sizeBytes, nulls, bounds }] of this.#columns.entries()) {
      const id = iceberg.fields[index]?.id;
      const type = schema.fields[index]?.type;
      if (id === undefined || !type) continue;
      facts.columnSizes.set(id, sizeBytes);
      facts.valueCounts.set(id, this.#rows);
      if (nulls !== null) facts.nullCounts.set(id, nulls);
      const lower = bounds && boundOf(type, bounds.lowest, 'lower');
      const upper = bounds && boundOf(type, bounds.highest, 'upper');
      if (lower) facts.lowerBounds.set(id, lower);
      if (upper) facts.upperBounds.set(id, upper);
    }
    return {
      ...plainDataFile,
      location: this.#location,
      recordCount: this.#rows,
      sizeBytes: this.#bytes,
      ...facts,
    };
  }

  async abandon(): Promise<void> {
    await this.#close();
    await this.#file.abandon();
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }

  async #write(bytes: Buffer): Promise<void> {
    await this.#handle?.writeFile(bytes);
    this.#bytes += bytes.length;
  }

  /** Elements of a schema under the table's names and field ids. The first is the root. */
  #named([root, ...leaves]: readonly ThriftStruct[]): ThriftStruct[] {
    const { iceberg } = this.#fileSchema;
    if (!root || leaves.length !== iceberg.fields.length) {
      throw new DailiesError(
        'internal',
        `A file of ${leaves.length} columns came for a table of ${iceberg.fields.length}.`,
      );
    }
    const named = leaves.map((leaf, index) => {
      const field = iceberg.fields[index];
      return leaf
        .with(element.name, typeBytes, Buffer.from(field?.name ?? ''))
        .with(element.fieldId, typeInteger, BigInt(field?.id ?? 0));
    });
    return [root, ...named];
  }

  /** Takes in a row group whose pages are moved by so many bytes. */
  #take(one: ThriftStruct, shift: bigint): void {
    const columns = one.structs(group.columns).map((chunk, index) => {
      const metadata = chunk.struct(column.metadata) ?? new ThriftStruct([]);
      this.#count(index, metadata);
      const name = Buffer.from(this.#fileSchema.iceberg.fields[index]?.name ?? '');
      let moved = metadata.with(columnMetadata.path, listType, new ThriftList(typeBytes, [name]));
      for (const id of [
        columnMetadata.dataPage,
        columnMetadata.indexPage,
        columnMetadata.dictionary,
        columnMetadata.bloom,
      ]) {
        moved = movedBy(moved, id, shift);
      }
      let placed = chunk.with(column.metadata, structType, moved);
      for (const id of [column.fileOffset, column.offsetIndex, column.columnIndex]) placed = movedBy(placed, id, shift);
      return placed;
    });
    const placed = movedBy(one, group.fileOffset, shift).withStructs(group.columns, columns);
    // Optional, and of two bytes only.
    this.#groups.push(new ThriftStruct(placed.fields.filter(({ id }) => id !== group.ordinal)));
  }

  #count(index: number, metadata: ThriftStruct): void {
    const facts = this.#columns[index];
    const type = this.#fileSchema.schema.fields[index]?.type;
    if (!facts || !type) return;
    facts.sizeBytes += Number(metadata.integer(columnMetadata.size) ?? 0);
    const told = metadata.struct(columnMetadata.statistics);
    const nulls = told?.integer(statistics.nulls) ?? null;
    facts.nulls = facts.nulls === null || nulls === null ? null : facts.nulls + Number(nulls);
    if (nulls !== null && nulls === metadata.integer(columnMetadata.values)) return;
    const lowest = boundValue(type, told?.bytes(statistics.min) ?? null);
    const highest = boundValue(type, told?.bytes(statistics.max) ?? null);
    if (lowest === null || highest === null) facts.bounds = null;
    else if (facts.bounds) facts.bounds = widened(type, widened(type, facts.bounds, lowest), highest);
  }
}

const listType = 9;
const structType = 12;

function movedBy(struct: ThriftStruct, id: number, shift: bigint): ThriftStruct {
  const offset = struct.integer(id);
  // Where there is nothing to tell of, some writers say 0.
  return offset === null || offset === 0n ? struct : struct.with(id, typeLong, offset + shift);
}

function isSameSchema(a: ThriftStruct, b: ThriftStruct): boolean {
  const [first, second] = [a, b].map((footer) =>
    Buffer.concat(footer.structs(fileMetadata.schema).map((one) => writeThrift(one))),
  );
  return first !== undefined && second !== undefined && first.equals(second);
}

/** A bound from a footer; null where there is none that can be compared. */
function boundValue(type: FieldType, bytes: Uint8Array | null): Value {
  if (bytes === null || type.kind === 'binary' || type.kind === 'fixed') return null;
  const value = type.kind === 'decimal' ? decimalOf(bytes) : decodeSingleValue(type, bytes);
  return Number.isNaN(value) ? null : value;
}

/** 4 or 8 bytes little-endian, 16 big-endian: Parquet's INT32, INT64 and FIXED_LEN_BYTE_ARRAY. */
function decimalOf(bytes: Uint8Array): bigint | null {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length === 4) return BigInt(view.readInt32LE());
  if (view.length === 8) return view.readBigInt64LE();
  if (view.length === 16) return (view.readBigInt64BE() << 64n) | view.readBigUInt64BE(8);
  return null;
}
