import { keyIndexes, type Row, type Schema, schemaFingerprint } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, SnapshotRows, TableChanges } from '../event.ts';
import type { ReplayKey } from './replay-key.ts';
import { olderRows } from './replay-shape.ts';
import { withoutBefore } from './without-before.ts';

/** What is applied again of one table. */
export interface ReplayedTable {
  /** Offsets, the second one excluded: the first that the lane has yet to take. */
  from: number;
  until: number;
  /** The table's shape at `until`. */
  shape: Schema;
  /** The table's newest snapshot begins at `from`, so that rows which nothing tells of since go. */
  isFromSnapshot: boolean;
}

export interface ReplayRequest {
  tables: ReadonlyMap<string, ReplayedTable>;
  /** Changes before this instant are left out, in records up to `firstOffset`: later ones stand in their order. */
  since: { timeMicros: bigint; firstOffset: number } | null;
  key: ReplayKey | null;
}

/**
 * One lane's part of a replay: which items of older records are applied again, and how. All of it is staged and committed at
 * once where the lane stood, so that nobody ever sees an older state, and a lane that dies within has changed nothing.
 */
export class LaneReplay {
  readonly #request: ReplayRequest;
  /** The lane stood here: the replay is over once everything before it is applied. */
  readonly until: number;
  /** By table and shape. */
  readonly #reshapes = new Map<string, ((row: Row) => Row) | null>();
  readonly #matchers = new Map<string, (row: Row) => boolean>();
  /** Rows of the asked key that were applied, for a truncate takes them. */
  readonly #touched = new Map<string, Map<string, Row>>();
  /** Changes that were applied again. */
  events = 0;

  constructor(request: ReplayRequest) {
    this.#request = request;
    this.until = Math.max(...[...request.tables.values()].map(({ until }) => until));
  }

  /** Where the table is to be read from; undefined for one that is not replayed. */
  fromOf(table: string): number | undefined {
    return this.#request.tables.get(table)?.from;
  }

  get from(): number {
    return Math.min(...[...this.#request.tables.values()].map(({ from }) => from));
  }

  /** The shape that the table's items are given at this offset; null for items that the lane has not taken before. */
  shapeAt(table: string, offset: number): Schema | null {
    const replayed = this.#request.tables.get(table);
    return replayed && offset < replayed.until ? replayed.shape : null;
  }

  /** Whether begin and end of the table's snapshot hold. */
  takesMarks(table: string): boolean {
    return this.#request.tables.get(table)?.isFromSnapshot === true && this.#request.key === null;
  }

  /** True for a file that may go on as it is; of others the rows are given to `changes`. */
  takesFile({ table, schema }: SnapshotRows): boolean {
    const shape = this.#request.tables.get(table)?.shape;
    const isSame = shape !== undefined && schemaFingerprint(shape) === schemaFingerprint(schema);
    return isSame && this.takesMarks(table);
  }

  countFile(rows: number): void {
    this.events += rows;
  }

  /** What is applied of these changes. Rows may be there already: none is an insert. */
  changes(offset: number, { table, schema, events, transactions }: TableChanges): TableChanges {
    const { since, key } = this.#request;
    const replayed = this.#request.tables.get(table);
    const reshape = replayed ? this.#reshape(table, schema, replayed.shape) : null;
    const shape = replayed?.shape ?? schema;
    if (reshape === null) return { table, schema: shape, events: [], transactions };
    let wanted = events;
    if (since && offset <= since.firstOffset && !replayed?.isFromSnapshot) {
      const first = transactions.findIndex(({ timeMicros }) => timeMicros >= since.timeMicros);
      wanted = first < 0 ? [] : wanted.filter(({ tx }) => tx >= first);
    }
    if (key) wanted = wanted.flatMap((event) => this.#ofKey(key, table, schema, event));
    const isKeyed = shape.key.length > 0;
    const again = wanted.map((event): ChangeEvent => {
      const before = event.before && reshape(event.before);
      const after = event.after && reshape(event.after);
      const isWritten = event.op === 'c' || event.op === 'u' || (event.op === 'r' && !this.takesMarks(table));
      if (!isKeyed || !isWritten || !after) return { ...event, before, after };
      // The row may be there, or not, whatever there was when this was told: a step must not go by that.
      return withoutBefore({ op: 'u', before, after, tx: event.tx });
    });
    this.events += again.length;
    return { table, schema: shape, events: again, transactions };
  }

  #ofKey(key: ReplayKey, table: string, schema: Schema, event: ChangeEvent): ChangeEvent[] {
    const touched = this.#touched.get(table) ?? new Map<string, Row>();
    this.#touched.set(table, touched);
    if (event.op === 't') {
      const rows = [...touched.values()];
      touched.clear();
      return rows.map((before) => ({ op: 'd', before, after: null, tx: event.tx }));
    }
    const row = event.after ?? event.before;
    if (!row || !this.#matcher(key, table, schema)(row)) return [];
    const text = keyIndexes(schema)
      .map((index) => String(row[index]))
      .join('\0');
    touched.set(text, row);
    return [event];
  }

  #matcher(key: ReplayKey, table: string, schema: Schema): (row: Row) => boolean {
    const id = `${table} ${schemaFingerprint(schema)}`;
    const known = this.#matchers.get(id) ?? key.matcher(schema);
    this.#matchers.set(id, known);
    return known;
  }

  #reshape(table: string, from: Schema, to: Schema): ((row: Row) => Row) | null {
    const id = `${table} ${schemaFingerprint(from)}`;
    const known = this.#reshapes.get(id);
    if (known !== undefined) return known;
    const fresh = olderRows(from, to);
    this.#reshapes.set(id, fresh);
    return fresh;
  }
}
