import { DailiesError } from '#catalog/error.ts';
import type { BinlogTable, Flavor } from './binlog-item.ts';
import type { ByteReader } from './byte-reader.ts';
import { malformed } from './protocol-error.ts';
import { RowReader } from './rows-event.ts';
import { readTableMap, readTableNames } from './table-map.ts';

interface Known {
  /** The event's bytes: as long as they stay, so does the table. */
  bytes: Buffer;
  table: BinlogTable;
  reader: RowReader;
}

/** Ids that a statement's end has in place of a table's: 2^32 − 1 and less from old servers, all bits set. */
const noTables = new Set([0xffffff, 0xffffffffffff]);

/** The tables that the statements' rows are of, by the ids that the server gives them for a while. */
export class TableMaps {
  readonly #flavor: Flavor;
  readonly #charsets: ReadonlyMap<number, string>;
  readonly #wants: (database: string, table: string) => boolean;
  readonly #known = new Map<number, Known>();
  /** Since the transaction began: null for one that nobody wants. */
  readonly #announced = new Map<number, Known | null>();

  constructor(options: {
    flavor: Flavor;
    charsets: ReadonlyMap<number, string>;
    wants(database: string, table: string): boolean;
  }) {
    this.#flavor = options.flavor;
    this.#charsets = options.charsets;
    this.#wants = options.wants;
  }

  clear(): void {
    this.#known.clear();
    this.#announced.clear();
  }

  /** What one transaction has announced means nothing to the next. */
  forgetAnnounced(): void {
    this.#announced.clear();
  }

  announce(body: ByteReader): void {
    const { bytes, at, end } = body;
    const names = readTableNames(body);
    if (!this.#wants(names.database, names.name)) {
      this.#announced.set(names.id, null);
      return;
    }
    const known = this.#known.get(names.id);
    if (known?.bytes.equals(bytes.subarray(at, end))) {
      this.#announced.set(names.id, known);
      return;
    }
    const mapped = readTableMap(names, this.#flavor, this.#charsets);
    if (mapped === null) {
      throw new DailiesError(
        'source_not_ready',
        `The binary log does not name the columns of ${names.database}.${names.name}; run: SET GLOBAL binlog_row_metadata = FULL; what was logged before cannot be read.`,
        { details: { table: `${names.database}.${names.name}` } },
      );
    }
    const made = { bytes: Buffer.from(bytes.subarray(at, end)), table: mapped.table, reader: new RowReader(mapped) };
    // Ids of tables that were altered or closed never come back: let them go before they pile up.
    if (this.#known.size >= 10_000) this.#known.clear();
    this.#known.set(names.id, made);
    this.#announced.set(names.id, made);
  }

  /** The table of rows, or null where nobody wants them. */
  find(id: number): { table: BinlogTable; reader: RowReader } | null {
    const found = this.#announced.get(id);
    if (found !== undefined) return found;
    if (noTables.has(id)) return null;
    throw malformed('rows came without their table');
  }
}
