import { mkdirSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { type Database, open, type RootDatabase } from 'lmdb';
import {
  beginOpening,
  beginUnsynced,
  currentBoot,
  endOpening,
  endUnsynced,
  requireRoom,
} from '#catalog/iceberg/write/index-folder.ts';
import { rowReshaper } from '#catalog/iceberg/write/row-reshaper.ts';
import { estimateBytes } from '#catalog/iceberg/write/staged-rows.ts';
import { type Row, type Schema, schemaFingerprint, UNKNOWN } from '#catalog/schemas/schema.ts';

/** What happened last to each key (its bytes as latin1 text): the row that it has since, null if it was deleted. */
export type LastChanges = ReadonlyMap<string, { row: Row | null; number: bigint }>;

/** Of LMDB. */
const pageBytes = 4096;

/** Up to which change the rows stand, and of which key columns they are. */
interface Stand {
  upTo: bigint;
  key: string;
}

/**
 * The rows of `LastRows` in LMDB. Losing it costs time alone, so that commits are not flushed to disk: they outlive the
 * process, and after a crash of the machine the folder is thrown away and made anew from the table.
 *
 *   rows: key → change_number (8 bytes, big-endian), serialized [schema id, values]; null in place of values: deleted
 *   meta: stand → upTo as text, key        schemas: id → serialized schema of the rows that name it
 */
export class LastRowsStore {
  readonly #directory: string;
  readonly #isUnsynced: boolean;
  readonly #root: RootDatabase<unknown, string>;
  readonly #rows: Database<Buffer, Buffer>;
  readonly #meta: Database<{ upTo: string; key: string }, string>;
  readonly #schemas: Database<Buffer, number>;
  readonly #known = new Map<number, Schema>();
  readonly #ids = new Map<string, number>();

  /** Throws `disk_full`. `boot` tells one run of the operating system from all others; without it each commit is flushed. */
  constructor(directory: string, boot = currentBoot()) {
    mkdirSync(directory, { recursive: true });
    requireRoom(directory, 0);
    beginOpening(directory);
    this.#directory = directory;
    this.#isUnsynced = beginUnsynced(directory, boot);
    const written = this.#isUnsynced ? { useWritemap: true, noSync: true, overlappingSync: false } : {};
    this.#root = open({ path: directory, encoding: 'msgpack', maxDbs: 4, ...written });
    this.#rows = this.#root.openDB({ name: 'rows', keyEncoding: 'binary', encoding: 'binary' });
    this.#meta = this.#root.openDB({ name: 'meta', encoding: 'msgpack' });
    this.#schemas = this.#root.openDB({ name: 'schemas', encoding: 'binary' });
    for (const { key, value } of this.#schemas.getRange()) this.#remember(key, deserialize(value) as Schema);
  }

  get stand(): Stand | null {
    const stand = this.#meta.get('stand');
    return stand ? { upTo: BigInt(stand.upTo), key: stand.key } : null;
  }

  /** The key's row in the shape of `schema`, and the change that it is of; null for none. */
  find(key: Buffer, schema: Schema): { row: Row; number: bigint } | null {
    const stored = this.#rows.getBinary(key);
    if (!stored) return null;
    const [id, values] = deserialize(stored.subarray(8)) as [number, unknown[] | null];
    const from = this.#known.get(id);
    if (!from || !values) return null;
    const row = values.map((value) => (value === undefined ? UNKNOWN : value)) as Row;
    return { row: rowReshaper(from, schema)(row), number: stored.readBigUInt64BE(0) };
  }

  /** Takes in what came after all that is here, with the stand that it leads to, in one transaction. */
  async put(changes: LastChanges, schema: Schema, stand: Stand): Promise<void> {
    this.#requireRoom(changes);
    await this.#root.transaction(() => {
      const id = this.#idOf(schema);
      for (const [key, change] of changes) {
        if (change.row === null) this.#rows.removeSync(Buffer.from(key, 'latin1'));
        else this.#rows.putSync(Buffer.from(key, 'latin1'), encode(id, change));
      }
      this.#putStand(stand);
    });
    endOpening(this.#directory);
  }

  /** Takes in changes in any order: of each key the highest number stays. Nothing stands before `setStand`. */
  async putNewest(changes: LastChanges, schema: Schema): Promise<void> {
    this.#requireRoom(changes);
    await this.#root.transaction(() => {
      const id = this.#idOf(schema);
      this.#meta.removeSync('stand');
      for (const [key, change] of changes) {
        const bytes = Buffer.from(key, 'latin1');
        const stored = this.#rows.getBinaryFast(bytes);
        if (stored && stored.readBigUInt64BE(0) > change.number) continue;
        this.#rows.putSync(bytes, encode(id, change));
      }
    });
  }

  async setStand(stand: Stand): Promise<void> {
    await this.#root.transaction(() => this.#putStand(stand));
    endOpening(this.#directory);
  }

  async clear(): Promise<void> {
    await this.#meta.remove('stand');
    await this.#rows.clearAsync();
  }

  async close(): Promise<void> {
    await this.#root.close();
    endOpening(this.#directory);
    if (this.#isUnsynced) endUnsynced(this.#directory);
  }

  /** A page for each row, and those that its values take. */
  #requireRoom(changes: LastChanges): void {
    let bytes = 0;
    for (const { row } of changes.values()) bytes += row ? estimateBytes(row) : 0;
    requireRoom(this.#directory, changes.size + Math.ceil(bytes / pageBytes));
  }

  #putStand({ upTo, key }: Stand): void {
    this.#meta.putSync('stand', { upTo: String(upTo), key });
  }

  #idOf(schema: Schema): number {
    const known = this.#ids.get(schemaFingerprint(schema));
    if (known !== undefined) return known;
    const id = this.#ids.size + 1;
    this.#schemas.putSync(id, serialize(schema));
    this.#remember(id, schema);
    return id;
  }

  #remember(id: number, schema: Schema): void {
    this.#known.set(id, schema);
    this.#ids.set(schemaFingerprint(schema), id);
  }
}

function encode(schemaId: number, { row, number }: { row: Row | null; number: bigint }): Buffer {
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(number);
  const values = row?.map((value) => (value === UNKNOWN ? undefined : value)) ?? null;
  return Buffer.concat([head, serialize([schemaId, values])]);
}
