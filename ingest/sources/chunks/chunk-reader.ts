import type { Schema } from '#catalog/schemas/schema.ts';
import type { SourcePosition } from '../../event.ts';

/**
 * What a source gives so that its tables are snapshotted in chunks beside its stream (`ChunkedSnapshots`), after DBLog's
 * way with nothing written at the source (Andreakis and Papapanagiotou, DBLog, 2020):
 *
 *     stream   ──p0──────────c──────c'────P──────────►   changes, handed out as they come
 *     chunk       └ S: rows after the cursor     └ rows without the keys that c and c' touched
 *
 * A chunk is read in a snapshot S of its own, which sees everything that the stream had handed out before (p0). It is
 * handed out when the stream has passed P, a place not before any commit that S sees, without the rows whose key a change
 * since p0 has touched: what the stream has told of these is newer.
 */
export interface ChunkSource {
  /**
   * The table's shape as it is now, for its snapshot-begin, and a place not before the DDL that made it. Later reads of the
   * table compare with it.
   */
  begin(table: ChunkedTable, signal: AbortSignal): Promise<{ schema: Schema; place: SourcePosition }>;

  /** What one reader at a time reads with, such as a connection. At most `readers` of them, each kept while there is work. */
  openReader(signal: AbortSignal): Promise<ChunkReader>;

  /** True if a stream that has handed out everything up to `position` has passed `place`. */
  hasPassed(position: SourcePosition, place: SourcePosition): boolean;

  /**
   * The stream should hand out a complete batch, if need be without items, as soon as it has passed `place` (null: any
   * place), and at once if it has already: a chunk waits for it. Where the place cannot be reached by itself (an idle
   * database, a page that is not flushed), the source makes it move. May be called again for the same place.
   */
  expect(place: SourcePosition | null): void;
}

export interface ChunkReader {
  /**
   * Reads rows in key order after the key in `after` (from the start if null) in a new snapshot S, as many as make a good
   * piece of work (some 16 to 64 MiB of text; rows beyond what memory should hold go into several files).
   *
   * S must see everything that the stream had handed out before this call. A change may be told before its commit is
   * visible (Postgres, MySQL and MariaDB all write their log first): where S misses one, take another.
   *
   * `outdated`: the rows that were read up to `after` would read differently now (a default was added, a column renamed,
   * the table rewritten with other values), so the snapshot begins anew.
   *
   * Ends soon, with any error, once `signal` is aborted. Errors that are the table's own carry `details.table`, so that it is set aside and the rest go on.
   */
  read(table: ChunkedTable, after: string | null, signal: AbortSignal): Promise<TableChunk | 'outdated'>;

  /** Ends what it reads with. Not within a read. */
  close(): Promise<void>;
}

/** A table to be read in chunks. It has a key, whose order the source reads in, and the stream tells of all its changes. */
export interface ChunkedTable {
  /** source.schema.table */
  table: string;
  generation: number;
  /** Of a snapshot-chunk of this generation, after which reading goes on; null: from the start, with a snapshot-begin. */
  cursor: string | null;
  /** Tables with less go first. Bytes or rows, as long as all are the same. */
  weight: number;
}

/** Rows of one snapshot S, in key order. */
export interface TableChunk {
  /**
   * P: not before any commit visible in S, and not before any change that was decoded with a schema older than these files'.
   * Taken after S, for instance when all rows are read.
   */
  place: SourcePosition;
  /** The rows; none where there was nothing after the cursor. Whoever holds the chunk removes them. */
  files: ChunkFile[];
  /** The source's own text for the place of the last row, for the next read, also after a restart; null only without rows. */
  after: string | null;
  /** True if S has no rows behind these. */
  isLast: boolean;
  /** How many rows the source takes the table to have; null where it cannot tell. */
  estimatedRows: number | null;
}

/** A Parquet file on the local disk with the columns of `SnapshotRows`: `c0`, `c1`, … for the schema's fields. */
export interface ChunkFile {
  /** Made by `scratchPath`. */
  path: string;
  schema: Schema;
  rows: number;
  bytes: number;
}
