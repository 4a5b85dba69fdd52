import { DailiesError } from '../../error.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '../../schemas/schema.ts';
import { keyEncoder, rowHasher } from '../files/key-encoding.ts';
import type { RowPlace } from './key-index.ts';
import { rowReshaper } from './row-reshaper.ts';

/** What staged rows need of the table when they are written out. A promise is given only by what has to wait for files. */
export interface StageTarget {
  /** False where nobody will ask for what `note` says. */
  readonly isIndexed: boolean;
  /** Where the row with this key stands now, staged files included; null for none. */
  find(key: string): RowPlace | null;
  /** Where rows with this hash stand now, of a table without a key. */
  findAll(hash: string): RowPlace[];
  readRows(places: readonly RowPlace[]): Promise<Map<RowPlace, Row>>;
  deleteRow(place: RowPlace): boolean | Promise<boolean>;
  /** Appends to the data file in hand. */
  writeRow(row: readonly Value[]): RowPlace | Promise<RowPlace>;
  /** Says that the row of this key (or hash) now stands there, or was removed from there. */
  note(key: string, place: RowPlace | null, removed: RowPlace | null): void;
}

/** Changes gathered in memory until they are written to files. Later changes to a row replace earlier ones. */
export interface StagedRows {
  /** Rough memory held. */
  readonly bytes: number;
  readonly size: number;
  /** True if writing them out has to look rows up. */
  readonly needsIndex: boolean;
  /** `isInsert` tells a new row from a change: only an insert right after a removal may lack values, which that row had. */
  upsert(row: Row, isInsert: boolean): void;
  /** Removes the row with the key of `row`, or, without a key, one row equal to it. */
  remove(row: Row): void;
  /** Whether the row with the key of `row` will be there; null where nothing that is staged tells. */
  has(row: Row): boolean | null;
  clear(): void;
  /** Writes everything to the target; nothing is staged afterwards. */
  flush(target: StageTarget): Promise<void>;
  /** Turns the staged rows into another schema: by name, new columns NULL, widened numbers widened. */
  reshape(from: Schema, to: Schema, ids: readonly number[]): void;
}

interface StagedRow {
  /** Null: the row is deleted. */
  row: Row | null;
  /** The key under which the table holds values that `row` lacks. */
  valuesKey: string;
}

/** Nothing staged yet, for rows of this schema; `ids` are the field ids of its columns. */
export function stagedRowsFor(table: string, schema: Schema, ids: readonly number[]): StagedRows {
  return schema.key.length > 0 ? new KeyedRows(table, schema) : new KeylessRows(table, schema, ids);
}

/** Staged rows of a table with a key. */
class KeyedRows implements StagedRows {
  readonly needsIndex = true;
  readonly #table: string;
  #schema: Schema;
  #encode: (row: Row) => Buffer;
  #staged = new Map<string, StagedRow>();
  #bytes = 0;
  /** A removal that nothing has followed yet: a key change comes as a delete and an insert that may lack values. */
  #lastRemoved: { key: string; staged: StagedRow | undefined } | null = null;

  constructor(table: string, schema: Schema) {
    this.#table = table;
    this.#schema = schema;
    this.#encode = keyEncoder(schema);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#staged.size;
  }

  upsert(row: Row, isInsert: boolean): void {
    const key = this.#encode(row).toString('latin1');
    const removed = isInsert ? this.#lastRemoved : null;
    this.#lastRemoved = null;
    this.#bytes += estimateBytes(row);
    if (!row.includes(UNKNOWN)) {
      this.#staged.set(key, { row, valuesKey: key });
      return;
    }
    const base = removed ? removed.staged : this.#staged.get(key);
    const valuesKey = base?.valuesKey ?? removed?.key ?? key;
    this.#staged.set(key, { row: base?.row ? fillUnknown(row, base.row) : row, valuesKey });
  }

  remove(row: Row): void {
    const key = this.#encode(row).toString('latin1');
    this.#lastRemoved = { key, staged: this.#staged.get(key) };
    this.#bytes += key.length + 50;
    this.#staged.set(key, { row: null, valuesKey: key });
  }

  has(row: Row): boolean | null {
    const staged = this.#staged.get(this.#encode(row).toString('latin1'));
    return staged ? staged.row !== null : null;
  }

  clear(): void {
    this.#staged.clear();
    this.#lastRemoved = null;
    this.#bytes = 0;
  }

  async flush(target: StageTarget): Promise<void> {
    await this.#fill(target);
    for (const [key, { row }] of this.#staged) {
      const place = target.find(key);
      // Awaiting what is there already would take as long as the rest of a row.
      const deleted = place ? target.deleteRow(place) : false;
      if (typeof deleted !== 'boolean') await deleted;
      if (row) {
        const written = target.writeRow(row as readonly Value[]);
        target.note(key, written instanceof Promise ? await written : written, null);
      } else if (place) target.note(key, null, place);
    }
    this.clear();
  }

  reshape(from: Schema, to: Schema): void {
    const convert = rowReshaper(from, to);
    for (const staged of this.#staged.values()) if (staged.row) staged.row = convert(staged.row);
    this.#schema = to;
    this.#encode = keyEncoder(to);
    this.#lastRemoved = null;
  }

  // Values that no event carried are the table's own: read from where the row stands before this commit.
  async #fill(target: StageTarget): Promise<void> {
    const wanted = new Map<StagedRow, RowPlace>();
    for (const staged of this.#staged.values()) {
      if (!staged.row?.includes(UNKNOWN)) continue;
      const place = target.find(staged.valuesKey);
      if (!place) throw this.#missing(staged.row);
      wanted.set(staged, place);
    }
    if (wanted.size === 0) return;
    const rows = await target.readRows([...wanted.values()]);
    for (const [staged, place] of wanted) {
      const stored = rows.get(place);
      if (stored && staged.row) staged.row = fillUnknown(staged.row, stored);
    }
  }

  #missing(row: Row): DailiesError {
    const column = this.#schema.fields[row.indexOf(UNKNOWN)]?.name ?? '';
    return new DailiesError(
      'value_unsupported',
      `An update of ${this.#table} leaves "${column}" unchanged, but the table does not hold that row. Take a new snapshot of its source table.`,
      { details: { table: this.#table, column } },
    );
  }
}

/** Staged rows of a table without a key: a bag of rows, matched whole. */
class KeylessRows implements StagedRows {
  readonly #table: string;
  #schema: Schema;
  #hash: (row: Row) => Buffer;
  #inserts: (Row | null)[] = [];
  /** Indexes into `#inserts` by hash, for removals of rows that are still staged. */
  #insertsByHash: Map<string, number[]> | null = null;
  #removals = new Map<string, number>();
  #bytes = 0;

  constructor(table: string, schema: Schema, ids: readonly number[]) {
    this.#table = table;
    this.#schema = schema;
    this.#hash = rowHasher(schema, ids);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#inserts.length + this.#removals.size;
  }

  get needsIndex(): boolean {
    return this.#removals.size > 0;
  }

  upsert(row: Row): void {
    const unknown = row.indexOf(UNKNOWN);
    if (unknown >= 0) {
      const column = this.#schema.fields[unknown]?.name ?? '';
      throw new DailiesError(
        'value_unsupported',
        `An event of ${this.#table} lacks the value of "${column}", and the table has no key to find it by.`,
        { details: { table: this.#table, column } },
      );
    }
    const index = this.#inserts.push(row) - 1;
    if (this.#insertsByHash) pushTo(this.#insertsByHash, this.#hash(row).toString('latin1'), index);
    this.#bytes += estimateBytes(row);
  }

  remove(row: Row): void {
    const hash = this.#hash(row).toString('latin1');
    if (!this.#insertsByHash) {
      this.#insertsByHash = new Map();
      for (const [index, staged] of this.#inserts.entries()) {
        if (staged) pushTo(this.#insertsByHash, this.#hash(staged).toString('latin1'), index);
      }
    }
    const staged = this.#insertsByHash.get(hash)?.pop();
    if (staged !== undefined) {
      this.#inserts[staged] = null;
      return;
    }
    this.#removals.set(hash, (this.#removals.get(hash) ?? 0) + 1);
    this.#bytes += 80;
  }

  has(): null {
    return null;
  }

  clear(): void {
    this.#inserts = [];
    this.#insertsByHash = null;
    this.#removals.clear();
    this.#bytes = 0;
  }

  async flush(target: StageTarget): Promise<void> {
    for (const [hash, count] of this.#removals) {
      let left = count;
      for (const place of target.findAll(hash)) {
        if (left === 0) break;
        if (!(await target.deleteRow(place))) continue;
        target.note(hash, null, place);
        left -= 1;
      }
    }
    for (const row of this.#inserts) {
      if (!row) continue;
      const written = target.writeRow(row as readonly Value[]);
      const place = written instanceof Promise ? await written : written;
      if (target.isIndexed) target.note(this.#hash(row).toString('latin1'), place, null);
    }
    this.clear();
  }

  reshape(from: Schema, to: Schema, ids: readonly number[]): void {
    const convert = rowReshaper(from, to);
    this.#inserts = this.#inserts.map((row) => row && convert(row));
    this.#insertsByHash = null;
    this.#schema = to;
    this.#hash = rowHasher(to, ids);
  }
}

/** True if every column has a value. */
export function isWhole(row: Row): boolean {
  return !row.includes(UNKNOWN);
}

export function fillUnknown(row: Row, from: Row): Row {
  return row.map((value, index) => (value === UNKNOWN ? (from[index] ?? null) : value));
}

export function estimateBytes(row: Row): number {
  let bytes = 64;
  for (const value of row) bytes += valueBytes(value);
  return bytes;
}

function valueBytes(value: Value | typeof UNKNOWN): number {
  if (typeof value === 'string') return 24 + value.length;
  if (value instanceof Uint8Array) return 64 + value.length;
  if (Array.isArray(value)) return value.reduce((sum: number, item: Value) => sum + valueBytes(item), 32);
  return 16;
}

function pushTo(map: Map<string, number[]>, key: string, index: number): void {
  const list = map.get(key);
  if (list) list.push(index);
  else map.set(key, [index]);
}
