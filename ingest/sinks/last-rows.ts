import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { fromDuckdb, identifier } from '#catalog/iceberg/files/duckdb-values.ts';
import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import { rowReshaper } from '#catalog/iceberg/write/row-reshaper.ts';
import { estimateBytes } from '#catalog/iceberg/write/staged-rows.ts';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import { LastRowsStore } from './last-rows-store.ts';

/** A table of changes as of its last commit. */
export interface CommittedChanges {
  uuid: string;
  metadataLocation: string;
  /** The highest change_number. */
  upTo: bigint;
}

interface LastRowsOptions {
  /** Folder in which each table has its own. */
  indexDir: string;
  /** Number of columns after those of the events. */
  ownColumns: number;
  /** null: the table does not exist yet. */
  committed(): Promise<CommittedChanges | null>;
  /** Most that is kept in memory between two commits. */
  maxRows?: number;
  maxBytes?: number;
}

const writeRows = 5_000;

/**
 * The last row of each key of a table of changes: what its next change finds. On disk, and derived from the table: made at
 * the first question from what is committed, then kept up with each commit, caught up where it stands behind. What came
 * since the last commit is kept in memory, up to a bound; beyond it what is not there is said not to be known.
 */
export class LastRows {
  readonly #options: Required<LastRowsOptions>;
  #schema: Schema;
  #store: LastRowsStore | null = null;
  #isCurrent = false;
  readonly #recent = new Map<string, { row: Row | null; number: bigint }>();
  #recentBytes = 0;
  /** Rows since the last commit are missing from memory. */
  #isBlind = false;
  #isTruncated = false;
  /** Rows of changes up to this one may be out of date. */
  #outdatedUpTo = -1n;

  constructor(schema: Schema, options: LastRowsOptions) {
    this.#schema = schema;
    this.#options = { maxRows: 200_000, maxBytes: 64 << 20, ...options };
  }

  /** Rows are of this schema from now on. */
  follow(schema: Schema): void {
    const isSameKey = String(schema.key) === String(this.#schema.key);
    const convert = rowReshaper(this.#schema, schema);
    for (const entry of this.#recent.values()) if (entry.row) entry.row = convert(entry.row);
    if (!isSameKey && this.#recent.size > 0) {
      this.#forgetRecent();
      this.#isBlind = true;
    }
    if (!isSameKey) this.#isCurrent = false;
    this.#schema = schema;
  }

  /** What was told up to this change is not known to hold any more: until the key is told of again its row is not known. */
  distrust(upTo: bigint | null): void {
    this.#outdatedUpTo = upTo ?? -1n;
  }

  /** The row that the key has now, null for none; `unknown` where that cannot be told. */
  async find(key: Buffer): Promise<Row | null | 'unknown'> {
    const recent = this.#recent.get(key.toString('latin1'));
    if (recent) return recent.number <= this.#outdatedUpTo ? 'unknown' : recent.row;
    if (this.#isBlind) return 'unknown';
    if (this.#isTruncated) return null;
    const store = await this.#current();
    const found = store?.find(key, this.#schema) ?? null;
    if (found && found.number <= this.#outdatedUpTo) return 'unknown';
    return found?.row ?? null;
  }

  /** The key has this row now, null for none. */
  note(key: Buffer, row: Row | null, number: bigint): void {
    if (this.#recent.size >= this.#options.maxRows || this.#recentBytes >= this.#options.maxBytes) {
      // An older row of the key must not be taken for its last one.
      this.#isBlind = true;
      this.#recent.delete(key.toString('latin1'));
      return;
    }
    this.#recent.set(key.toString('latin1'), { row, number });
    this.#recentBytes += key.length + (row ? estimateBytes(row) : 16);
  }

  truncate(): void {
    this.#forgetRecent();
    this.#isTruncated = true;
    this.#isBlind = false;
  }

  /** What was noted is committed, up to this number. */
  async settle(upTo: bigint): Promise<void> {
    if (this.#isBlind) this.#isCurrent = false;
    else if (this.#store && this.#isCurrent) {
      if (this.#isTruncated) await this.#store.clear();
      await this.#store.put(this.#recent, this.#schema, this.#standAt(upTo));
    }
    this.#forgetRecent();
    this.#isBlind = false;
    this.#isTruncated = false;
  }

  async close(): Promise<void> {
    await this.#store?.close();
    this.#store = null;
  }

  #standAt(upTo: bigint) {
    return { upTo, key: String(this.#schema.key) };
  }

  #forgetRecent(): void {
    this.#recent.clear();
    this.#recentBytes = 0;
  }

  /** The rows as of the last commit; null before the first. */
  async #current(): Promise<LastRowsStore | null> {
    if (this.#store && this.#isCurrent) return this.#store;
    const committed = await this.#options.committed();
    if (committed === null) return null;
    const { uuid, metadataLocation, upTo } = committed;
    this.#store ??= new LastRowsStore(`${this.#options.indexDir}/${uuid}-rows`);
    const { stand } = this.#store;
    const isUsable = stand !== null && stand.upTo <= upTo && stand.key === String(this.#schema.key);
    if (!isUsable) await this.#store.clear();
    const from = isUsable ? stand.upTo : 0n;
    if (from < upTo) await this.#catchUp(this.#store, metadataLocation, from);
    await this.#store.setStand(this.#standAt(upTo));
    this.#isCurrent = true;
    return this.#store;
  }

  /** Takes in what the table has after change `from`, in any order: of each key the highest number stays. */
  async #catchUp(store: LastRowsStore, metadataLocation: string, from: bigint): Promise<void> {
    const scan = await planScan(metadataLocation);
    using _held = await holdLocal(scan.locations);
    const connection = await connectDuckdb();
    try {
      const truncates = await connection.runAndReadAll(
        `SELECT max(change_number) FROM (${scan.sql}) WHERE op = 't' AND change_number > ${from}`,
      );
      const truncated = truncates.getRows()[0]?.[0];
      if (typeof truncated === 'bigint') await store.clear();
      const after = typeof truncated === 'bigint' ? truncated : from;
      const fields = scan.schema.fields.slice(0, -this.#options.ownColumns);
      const schema: Schema = { fields, key: this.#schema.key };
      const encode = keyEncoder(schema);
      const convert = fields.map((field) => fromDuckdb(field.type));
      const columns = fields.map(({ name }) => identifier(name)).join(', ');
      const result = await connection.stream(
        `SELECT op, change_number, unknown_columns, ${columns} FROM (${scan.sql}) WHERE op <> 't' AND change_number > ${after}`,
      );
      const readNames = fromDuckdb({ kind: 'list', element: { kind: 'string' } });
      let rows = new Map<string, { row: Row | null; number: bigint }>();
      for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
        const [ops = [], numbers = [], unknowns = [], ...values] = chunk.getColumns();
        for (let at = 0; at < chunk.rowCount; at++) {
          const unknown = (readNames(unknowns[at] ?? null) ?? []) as readonly string[];
          const row = fields.map(({ name }, index) =>
            unknown.includes(name) ? UNKNOWN : (convert[index]?.(values[index]?.[at] ?? null) ?? null),
          );
          const key = encode(row).toString('latin1');
          const number = numbers[at] as bigint;
          if ((rows.get(key)?.number ?? -1n) > number) continue;
          rows.set(key, { row: ops[at] === 'd' ? null : row, number });
        }
        if (rows.size < writeRows) continue;
        await store.putNewest(rows, schema);
        rows = new Map();
      }
      await store.putNewest(rows, schema);
    } finally {
      connection.closeSync();
    }
  }
}
