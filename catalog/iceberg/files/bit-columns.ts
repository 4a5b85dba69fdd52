import { ByteWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';

/*
 * Bits as the one column of a Parquet file, required and uncompressed. Parquet's PLAIN encoding packs booleans eight to a byte,
 * the first in the lowest bit (github.com/apache/parquet-format, Encodings.md): bits kept that way are the pages as they stand,
 * and writing them costs no more than copying them.
 */

/** Bytes of a page, and of a row group, which has one. */
const groupBytes = 1 << 17;

/** A whole Parquet file of the first `count` bits as a column `bit`, bit `n` being `1 << (n & 7)` of byte `n >> 3`. */
export function encodeBitColumn(bits: Uint8Array, count: number): Uint8Array {
  const bytes = bits.subarray(0, Math.ceil(count / 8));
  const writer = new ByteWriter();
  writer.appendBytes(magic);
  const groups: Groups = [];
  for (let start = 0; start < bytes.length; start += groupBytes) {
    const page = bytes.subarray(start, start + groupBytes);
    const values = Math.min(page.length * 8, count - start * 8);
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
            type: 'BOOLEAN',
            encodings: ['PLAIN', 'RLE'],
            path_in_schema: ['bit'],
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
      { name: 'bit', type: 'BOOLEAN', repetition_type: 'REQUIRED' },
    ],
    num_rows: BigInt(count),
    row_groups: groups,
    metadata_length: 0,
  });
  writer.appendBytes(magic);
  return writer.getBytes();
}

type Groups = Parameters<typeof writeMetadata>[1]['row_groups'];

const magic = Buffer.from('PAR1', 'latin1');
