import { ByteWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';

/*
 * Bits as the one column of a Parquet file, required and uncompressed. A page is one run of bits in Parquet's RLE/bit-packing
 * hybrid (github.com/apache/parquet-format, Encodings.md), eight to a byte, the first in the lowest bit:
 *
 *   length of what follows: 4 bytes, little-endian │ bytes of the run, times two, plus one: ULEB128 │ the bytes
 *
 * Bits kept that way are the pages as they stand, and writing them costs no more than copying them. DuckDB unpacks such a run
 * many bits at a time, in a third of the time of the PLAIN encoding.
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
    const packed = bytes.subarray(start, start + groupBytes);
    const values = Math.min(packed.length * 8, count - start * 8);
    const offset = writer.offset;
    const run = new ByteWriter();
    run.appendVarInt(packed.length * 2 + 1);
    run.appendBytes(packed);
    writePageHeader(writer, {
      type: 'DATA_PAGE',
      uncompressed_page_size: 4 + run.offset,
      compressed_page_size: 4 + run.offset,
      data_page_header: {
        num_values: values,
        encoding: 'RLE',
        definition_level_encoding: 'RLE',
        repetition_level_encoding: 'RLE',
      },
    });
    writer.appendUint32(run.offset);
    writer.appendBytes(run.getBytes());
    const size = BigInt(writer.offset - offset);
    groups.push({
      columns: [
        {
          file_offset: BigInt(offset),
          meta_data: {
            type: 'BOOLEAN',
            encodings: ['RLE'],
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
