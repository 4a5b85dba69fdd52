import type { DuckDBConnection } from '@duckdb/node-api';
import { DailiesError } from '../../error.ts';
import type { Row, Value } from '../../schemas/schema.ts';
import { entryKey, isDeletionVector, readDeletionVector } from '../files/deletion-vector.ts';
import { fromDuckdb } from '../files/duckdb-values.ts';
import { isOnlyOf, readPositionDeletes } from '../files/position-deletes.ts';
import type { PositionSet } from '../files/position-set.ts';
import { dataFileSource, type ReadSchema } from '../files/read-data-file.ts';
import type { DataFile, ManifestEntry } from '../manifests/manifest.ts';
import type { LiveFile } from '../read/live-files.ts';
import { holdLocal } from '../storage.ts';
import type { RowPlace } from './key-index.ts';

/** A data file of the table as the commit in hand will leave it. */
export interface WorkingFile {
  file: DataFile;
  /** Null until the file's commit. */
  entry: ManifestEntry | null;
  /** Its committed delete files. */
  deletes: readonly ManifestEntry[];
  /** Its deleted positions, those of the commit in hand too; null while not loaded. */
  positions: PositionSet | null;
  /** True if the commit in hand deletes more of its rows. */
  isTouched: boolean;
}

/** The data files of one table with their deletes, and what the commit in hand adds to and removes from them. */
export class WorkingFiles {
  readonly #connection: DuckDBConnection;
  readonly #files = new Map<string, WorkingFile>();
  /** Keys (`entryKey`) of committed data and delete files that the commit in hand removes. */
  readonly removed = new Set<string>();

  constructor(connection: DuckDBConnection, live: readonly LiveFile[]) {
    this.#connection = connection;
    for (const { data, deletes } of live) {
      this.#files.set(data.file.location, { file: data.file, entry: data, deletes, positions: null, isTouched: false });
    }
  }

  all(): WorkingFile[] {
    return [...this.#files.values()];
  }

  /** Data files that are not committed yet. */
  staged(): DataFile[] {
    return this.all().flatMap(({ file, entry }) => (entry === null ? [file] : []));
  }

  touched(): WorkingFile[] {
    return this.all().filter((file) => file.isTouched);
  }

  has(location: string): boolean {
    return this.#files.has(location);
  }

  get(location: string): WorkingFile | null {
    return this.#files.get(location) ?? null;
  }

  /** A file of the commit in hand; `deleted` are those of its rows that are deleted all the same. */
  add(file: DataFile, deleted: PositionSet | null = null): void {
    this.#files.set(file.location, {
      file,
      entry: null,
      deletes: [],
      positions: deleted,
      isTouched: deleted !== null && deleted.size > 0,
    });
  }

  /** Takes all files out of the table. Returns the locations of those that were never committed. */
  removeAll(): string[] {
    const files = this.all();
    for (const file of files) this.remove(file);
    return files.flatMap(({ file, entry }) => (entry === null ? [file.location] : []));
  }

  remove(file: WorkingFile): void {
    this.#files.delete(file.file.location);
    if (file.entry) this.removed.add(file.file.location);
    this.removeDeletes(file);
  }

  /** Takes the file's own deletes out of the table; those that other data files share stay. */
  removeDeletes({ file, deletes }: WorkingFile): void {
    for (const old of deletes) if (isOnlyOf(file, old.file)) this.removed.add(entryKey(old.file));
  }

  /** Deletes one row; false if it was deleted already. At once where the file's positions are loaded. */
  deleteRow(place: RowPlace): boolean | Promise<boolean> {
    const file = this.#files.get(place.location);
    if (!file) return false;
    if (file.positions) return deletePosition(file, file.positions, place.position);
    return this.positionsOf(file).then((positions) => deletePosition(file, positions, place.position));
  }

  async positionsOf(file: WorkingFile): Promise<PositionSet> {
    file.positions ??= await this.#readPositions(file);
    return file.positions;
  }

  async #readPositions({ file, deletes }: WorkingFile): Promise<PositionSet> {
    // A deletion vector holds all that older position deletes of its data file held.
    const vector = deletes.findLast((entry) => isDeletionVector(entry.file));
    if (vector) return (await readDeletionVector(vector.file)).below(file.recordCount);
    return await readPositionDeletes(
      this.#connection,
      file.location,
      file.recordCount,
      deletes.map((entry) => entry.file.location),
    );
  }

  /** Takes over what was committed. */
  settle(added: readonly ManifestEntry[]): void {
    for (const entry of added) {
      if (entry.file.content === 'data') {
        const file = this.#files.get(entry.file.location);
        if (!file) continue;
        file.entry = entry;
        file.file = entry.file;
      } else {
        const file = this.#files.get(entry.file.referencedDataFile ?? '');
        if (file) file.deletes = [...file.deletes.filter((old) => !isOnlyOf(file.file, old.file)), entry];
      }
    }
    for (const file of this.#files.values()) file.isTouched = false;
    this.removed.clear();
  }

  /** The rows at these places; each place must hold one. */
  async readRows(places: readonly RowPlace[], columns: ReadSchema): Promise<Map<RowPlace, Row>> {
    const rows = new Map<RowPlace, Row>();
    const byFile = Map.groupBy(places, (place) => place.location);
    const convert = columns.schema.fields.map((field) => fromDuckdb(field.type));
    for (const [location, wanted] of byFile) {
      const byPosition = new Map(wanted.map((place) => [place.position, place]));
      using _held = await holdLocal([location]);
      const source = await dataFileSource(location, columns);
      const reader = await this.#connection.runAndReadAll(
        `SELECT * EXCLUDE (file_row_number), file_row_number FROM ${source} WHERE file_row_number IN (${[...byPosition.keys()].join(', ')})`,
      );
      for (const values of reader.getRows()) {
        const place = byPosition.get(Number(values.at(-1)));
        if (place)
          rows.set(
            place,
            convert.map((read, index) => read(values[index] ?? null)),
          );
      }
    }
    if (rows.size !== new Set(places).size) {
      throw new DailiesError('table_corrupt', 'The key index points to rows that the data files do not hold.');
    }
    return rows;
  }

  /**
   * Hands over what `make` makes of the live rows of a file, only the columns asked for, in file order, in pieces. A row holds
   * only until `make` has returned.
   */
  async scan<Made>(
    file: WorkingFile,
    columns: ReadSchema,
    make: (row: Row, position: number) => Made,
    visit: (made: Made[]) => void | Promise<void>,
    only?: PositionSet,
  ): Promise<void> {
    const deleted = file.deletes.length > 0 || file.isTouched ? await this.positionsOf(file) : null;
    const convert = columns.schema.fields.map((field) => fromDuckdb(field.type));
    using _held = await holdLocal([file.file.location]);
    const source = await dataFileSource(file.file.location, columns);
    const result = await this.#connection.stream(`SELECT * EXCLUDE (file_row_number), file_row_number FROM ${source}`);
    const row: Value[] = [];
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
      const values = chunk.getColumns();
      const positions = values[columns.schema.fields.length] ?? [];
      const made: Made[] = [];
      // A call out of JavaScript at each look.
      const { rowCount } = chunk;
      for (let at = 0; at < rowCount; at++) {
        const position = Number(positions[at]);
        if (only ? !only.has(position) : deleted?.has(position)) continue;
        for (const [index, read] of convert.entries()) row[index] = read(values[index]?.[at] ?? null);
        made.push(make(row, position));
      }
      await visit(made);
    }
  }
}

function deletePosition(file: WorkingFile, positions: PositionSet, position: number): boolean {
  if (positions.has(position)) return false;
  positions.add(position);
  file.isTouched = true;
  return true;
}
