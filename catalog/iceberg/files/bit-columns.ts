import { ByteWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';

/*
 * Bits as the one column of a Parquet file, required and uncompressed. Parquet's PLAIN encoding packs booleans eight to a byte,
 * the first in the lowest bit, and writes integers in eight bytes, the lowest first (github.com/apache/parquet-format,
 * Encodings.md): bits kept that way are the pages as they stand, and writing them costs no more than copying them.
 */

const layouts = {
  /** A row for each bit. */
  bit: { type: 'BOOLEAN', valuesPerByte: 8, groupBytes: 1 << 17 },
  /** A row for each 64 bits. */
  word: { type: 'INT64', valuesPerByte: 1 / 8, groupBytes: 1 << 20 },
} as const;

/**
 * A whole Parquet file of the bits, bit `n` being `1 << (n & 7)` of byte `n >> 3`: as a column `bit` of `count` rows, or as a
 * column `word` of `⌈count / 64⌉` rows, whose last bits are 0.
 */
export function encodeBitColumn(bits: Uint8Array, count: number, column: keyof typeof layouts): Uint8Array {
  const { type, valuesPerByte, groupBytes } = layouts[column];
  const rows = column === 'bit' ? count : Math.ceil(count / 64);
  const bytes = new Uint8Array(Math.ceil(rows / valuesPerByte));
  bytes.set(bits.subarray(0, Math.min(bits.length, bytes.length)));
  const writer = new ByteWriter();
  writer.appendBytes(magic);
  const groups: Groups = [];
  for (let start = 0; start < bytes.length; start += groupBytes) {
    const page = bytes.subarray(start, start + groupBytes);
    const values = Math.min(page.length * valuesPerByte, rows - start * valuesPerByte);
    const offset = writer.offset;
    writePageHeader(writer, {
      type: 'DATA_PAGE',
      uncompressed_page_size: page.length,
      compressed_page_size: page.length,
      data_page_header: {
        num_values: values,
        encoding: 'PLAIN',
        definition_level_encoding: 'RLE',
        repetition_level_encoding: 'RLE',
      },
    });
    writer.appendBytes(page);
    const size = BigInt(writer.offset - offset);
    groups.push({
      columns: [
        {
          file_offset: BigInt(offset),
          meta_data: {
            type,
            encodings: ['PLAIN', 'RLE'],
            path_in_schema: [column],
            codec: 'UNCOMPRESSED',
            num_values: BigInt(values),
            total_uncompressed_size: size,
            total_compressed_size: size,
            data_page_offset: BigInt(offset),
          },
        },
      ],
      total_byte_size: size,
      num_rows: BigInt(values),
    });
  }
  writeMetadata(writer, {
    version: 2,
    created_by: 'Dailies',
    schema: [
      { name: 'root', num_children: 1 },
      { name: column, type, repetition_type: 'REQUIRED' },
    ],
    num_rows: BigInt(rows),
    row_groups: groups,
    metadata_length: 0,
  });
  writer.appendBytes(magic);
  return writer.getBytes();
}

type Groups = Parameters<typeof writeMetadata>[1]['row_groups'];

const magic = Buffer.from('PAR1', 'latin1');
