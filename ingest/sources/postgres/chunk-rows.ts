import type { Value } from '#catalog/schemas/schema.ts';
import { ChunkFileWriter } from '../chunks/chunk-file-writer.ts';
import type { ChunkFile } from '../chunks/chunk-reader.ts';
import type { CopyChunk } from './copy-out.ts';
import { maxMessageBytes } from './oversized-change.ts';
import type { Relation } from './relation.ts';
import { SnapshotFiles } from './snapshot-file.ts';

const QUOTE = 34;
const COMMA = 44;
const NEWLINE = 10;

/** A row beyond this is decoded by us, one at a time: DuckDB reads CSV in buffers of many times its longest line. */
const maxLineBytes = 8 << 20;

/** Makes files of a chunk from pieces of a COPY in CSV. */
export class ChunkRows {
  readonly #files: SnapshotFiles;

  private constructor(files: SnapshotFiles) {
    this.#files = files;
  }

  static async open(): Promise<ChunkRows> {
    return new ChunkRows(await SnapshotFiles.open());
  }

  /** DuckDB reads the text where it reads it as we do; a piece with a value that needs its text beside it is ours to decode. */
  async write(piece: CopyChunk, relation: Relation): Promise<ChunkFile> {
    if (piece.longestRow > maxMessageBytes) throw tooLong(piece, relation);
    const isTrusted = piece.longestRow <= maxLineBytes && SnapshotFiles.canHold(relation);
    return (isTrusted ? await this.#files.write(piece, relation) : null) ?? (await this.#decode(piece, relation));
  }

  close(): void {
    this.#files.close();
  }

  /** Reads on to the end where a row needs another schema, to learn of all such needs, and then once more. */
  async #decode(piece: CopyChunk, relation: Relation): Promise<ChunkFile> {
    for (;;) {
      const { schema } = relation;
      const writer = await ChunkFileWriter.open(this.#files.connection, schema);
      try {
        for (let left = piece.rows, at = 0; left > 0; left--) {
          const row = relation.decodeCsvRow(piece.bytes, at);
          at = relation.end;
          if (relation.schema === schema) writer.append(row as readonly Value[]);
        }
      } catch (thrown) {
        await writer.abandon();
        throw thrown;
      }
      if (relation.schema === schema) return await writer.finish();
      await writer.abandon();
    }
  }
}

/** The values of a row of CSV at `at` as the server printed them, null for NULL. */
export function csvTexts(bytes: Buffer, at: number, count: number): (string | null)[] {
  return csvRanges(bytes, at, count).map(({ start, end }) => {
    if (start === end) return null;
    const text = bytes.toString('utf8', start, end);
    return bytes[start] === QUOTE ? text.slice(1, -1).replaceAll('""', '"') : text;
  });
}

function csvRanges(bytes: Buffer, at: number, count: number): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  for (let start = at; ranges.length < count; ) {
    let isQuoted = false;
    let end = start;
    for (; isQuoted || (bytes[end] !== COMMA && bytes[end] !== NEWLINE); end++) {
      // A doubled quote ends and begins again.
      if (bytes[end] === QUOTE) isQuoted = !isQuoted;
    }
    ranges.push({ start, end });
    start = end + 1;
  }
  return ranges;
}

function tooLong(piece: CopyChunk, relation: Relation) {
  let column = 0;
  let bytes = 0;
  for (let left = piece.rows, at = 0; left > 0; left--) {
    for (const [index, { start, end }] of csvRanges(piece.bytes, at, relation.columns.length).entries()) {
      if (end - start > bytes) {
        bytes = end - start;
        column = index;
      }
      at = end + 1;
    }
  }
  return relation.tooLong(column, bytes);
}
