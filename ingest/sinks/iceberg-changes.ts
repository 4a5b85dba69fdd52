import { DailiesError } from '#catalog/error.ts';
import type { Rename } from '#catalog/iceberg/metadata/schema-evolution.ts';
import type { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import { type Field, type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges, Transaction } from '../event.ts';
import { ChangeCompleter } from './complete-changes.ts';
import { type CommittedChanges, LastRows } from './last-rows.ts';
import { movedColumns, withoutFormerNames } from './moved-columns.ts';

/** Numbers the changes of one sink, each higher than all before it. */
export interface ChangeCounter {
  last: bigint;
}

/**
 * Appends every change of one source table to its table of changes: `mode: changes`. The columns are described in
 * `README.md`. Nothing that was appended is ever changed, so that the table needs no key; a snapshot is appended like
 * any other change, as op r.
 */
export class ChangeLog {
  readonly #source: string;
  readonly #writer: TableWriter;
  readonly #counter: ChangeCounter;
  readonly #history: ChangeHistory;
  /** null while it is not known whether the rows have a key, and where they have none. */
  #completer: ChangeCompleter | null = null;
  #shape: { from: Schema; toRow: ToRow } | null = null;
  #isSnapshotOpen = false;

  constructor(source: string, writer: TableWriter, counter: ChangeCounter, history: ChangeHistory) {
    this.#history = history;
    this.#source = source;
    this.#writer = writer;
    this.#counter = counter;
  }

  /** Rows of a snapshot are staged that is not complete: nothing of the table may be committed. */
  get isSnapshotOpen(): boolean {
    return this.#isSnapshotOpen;
  }

  /** What was staged of an unfinished snapshot must be void by now. */
  async beginSnapshot(schema: Schema): Promise<void> {
    // An empty table exists, too, once its snapshot is done.
    await this.#follow(schema);
    this.#isSnapshotOpen = true;
  }

  /** Changes that the source could not tell may lie behind: rows are not completed from what came before. */
  async beginChunks(schema: Schema, generation: number): Promise<void> {
    await this.#follow(schema);
    await this.#writer.snapshots.beginChunks(generation, null, String(this.#counter.last));
    this.#completer?.distrust(this.#counter.last);
  }

  async endSnapshot(): Promise<void> {
    if (!this.#isSnapshotOpen) await this.#writer.snapshots.endChunks();
    this.#isSnapshotOpen = false;
    this.#completer?.distrust(null);
  }

  /** Throws `schema_incompatible` where a column has a name that is taken or a type that those landed cannot follow. */
  async append(changes: TableChanges): Promise<void> {
    const toRow = await this.#follow(changes.schema);
    for (const event of changes.events) {
      const number = ++this.#counter.last;
      const whole = this.#completer ? await this.#completer.complete(event, number) : event;
      await this.#writer.upsert(toRow(whole, changes.transactions[event.tx], number), true);
    }
  }

  /** All that was appended is committed. */
  async settle(): Promise<void> {
    await this.#completer?.settle(this.#counter.last);
  }

  async close(): Promise<void> {
    await this.#completer?.close();
  }

  async #follow(schema: Schema): Promise<ToRow> {
    if (this.#shape?.from === schema) return this.#shape.toRow;
    const held = this.#writer.exists || this.#shape ? this.#writer.schema : null;
    const moved = held ? movedColumns(this.#source, held, schema) : null;
    const target = changesSchema(this.#source, withoutFormerNames(schema), held && withNewNames(held, moved?.renames));
    try {
      await this.#writer.evolve(target, { renames: moved ? inBoth(moved.renames) : [] });
    } catch (thrown) {
      throw thrown instanceof DailiesError && thrown.code === 'schema_incompatible'
        ? cannotFollow(this.#source, thrown)
        : thrown;
    }
    const toRow = rowOf(this.#source, schema, target);
    this.#shape = { from: schema, toRow };
    await this.#followKey(schema);
    return toRow;
  }

  async #followKey(schema: Schema): Promise<void> {
    if (schema.key.length === 0) {
      await this.#completer?.close();
      this.#completer = null;
    } else if (this.#completer) {
      this.#completer.follow(schema);
    } else {
      const rows = new LastRows(schema, { ...this.#history, ownColumns: ownColumns.length });
      this.#completer = new ChangeCompleter(schema, rows);
      const note = this.#writer.snapshots.chunksNote;
      if (note !== null) this.#completer.distrust(BigInt(note));
    }
  }
}

/** What was appended before. */
export interface ChangeHistory {
  /** Folder for what is derived from tables. */
  indexDir: string;
  /** The table as of its last commit; null before its first. */
  committed(): Promise<CommittedChanges | null>;
}

type ToRow = (event: ChangeEvent, transaction: Transaction | undefined, number: bigint) => Row;

/** Names of the columns that every table of changes has, after those of its events. */
const ownColumns = ['op', 'before', 'source_ts', 'source_position', 'change_number', 'unknown_columns'] as const;

/**
 * The schema of the table of changes. Columns that the source has dropped since stay: what they held is history. All
 * columns of the events are optional, for a truncate has no row and a delete may tell no more than a key.
 */
export function changesSchema(source: string, events: Schema, held: Schema | null): Schema {
  const taken = events.fields.find(({ name }) => ownColumns.some((own) => own === name.toLowerCase()));
  if (taken) {
    throw new DailiesError(
      'schema_incompatible',
      `The column "${taken.name}" of ${source} has a name that a table of changes has for itself (${ownColumns.join(', ')}). Project it under another name.`,
      { details: { table: source, column: taken.name } },
    );
  }
  const isOwn = (name: string) => ownColumns.some((own) => own === name);
  const columns = withDropped(events.fields, held?.fields.filter(({ name }) => !isOwn(name)) ?? []);
  const table: Field['origin'] = { kind: 'column', path: [] };
  const before = columns.map(
    (field): Field => ({ ...field, origin: field.origin ?? { kind: 'column', path: [field.name] } }),
  );
  const own: Record<(typeof ownColumns)[number], Pick<Field, 'type' | 'required' | 'doc'>> = {
    op: {
      type: { kind: 'string' },
      required: true,
      doc: 'What happened to the row: c created, u updated, d deleted, r read by a snapshot; t all rows were truncated.',
    },
    before: {
      type: { kind: 'struct', fields: before },
      required: false,
      doc: 'The row as it was before an update or a delete.',
    },
    source_ts: {
      type: { kind: 'timestamptz' },
      required: false,
      doc: 'When the change was committed at the source; for op r, when the snapshot was taken.',
    },
    source_position: {
      type: { kind: 'string' },
      required: false,
      doc: "Where the change's transaction ends in the source's history: changes made together share it.",
    },
    change_number: {
      type: { kind: 'long' },
      required: true,
      doc: 'Grows from each change to the next, in the order of the source; numbers may be left out.',
    },
    unknown_columns: {
      type: { kind: 'list', element: { kind: 'string' } },
      required: false,
      doc: 'Columns that are NULL here since nobody told their value, "before." in front of those of `before`.',
    },
  };
  return { key: [], fields: [...columns, ...ownColumns.map((name): Field => ({ name, origin: table, ...own[name] }))] };
}

/** What was landed under other names until now. */
function withNewNames({ fields, key }: Schema, renames: readonly Rename[] = []): Schema {
  const names = new Map(renames.map(({ from, to }) => [from[0], to[0]]));
  return { fields: fields.map((field) => ({ ...field, name: names.get(field.name) ?? field.name })), key };
}

/** In the row, and in the row before. */
function inBoth(renames: readonly Rename[]): Rename[] {
  return renames.flatMap(({ from, to }) => [
    { from, to },
    { from: ['before', ...from], to: ['before', ...to] },
  ]);
}

function withDropped(fields: readonly Field[], held: readonly Field[]): Field[] {
  const names = new Set(fields.map(({ name }) => name));
  return [...fields, ...held.filter(({ name }) => !names.has(name))].map((field) => ({ ...field, required: false }));
}

function rowOf(source: string, events: Schema, target: Schema): ToRow {
  const columns = target.fields.slice(0, -ownColumns.length).map(({ name }) => {
    const index = events.fields.findIndex((field) => field.name === name);
    return { name, index };
  });
  const valuesOf = (row: Row): Value[] => columns.map(({ index }) => known(row[index]));
  const unknownOf = (row: Row, prefix = '') =>
    columns.flatMap(({ name, index }) => (row[index] === UNKNOWN ? [`${prefix}${name}`] : []));
  const none = columns.map(() => null);
  return ({ op, before, after }, transaction, number) => {
    const row = op === 'd' ? before : after;
    if (op !== 't' && !row) {
      throw new DailiesError('source_protocol', `An event (${op}) of ${source} carries no row.`, {
        details: { table: source, op },
      });
    }
    const unknown = [
      ...(row ? unknownOf(row) : []),
      // The row of a delete is the one before it.
      ...(before && op !== 'd' ? unknownOf(before, 'before.') : []),
      ...(op === 'u' && !before ? ['before'] : []),
    ];
    return [
      ...(row ? valuesOf(row) : none),
      op,
      before ? valuesOf(before) : null,
      transaction?.timeMicros ?? null,
      transaction?.position ?? null,
      number,
      unknown.length > 0 ? unknown : null,
    ];
  };
}

function known(value: Row[number] | undefined): Value {
  return value === undefined || value === UNKNOWN ? null : (value as Value);
}

function cannotFollow(source: string, cause: DailiesError): DailiesError {
  const { column, from, to } = cause.details;
  return new DailiesError(
    'schema_incompatible',
    `Column "${column}" of ${source} changed its type from ${from} to ${to}, which its history cannot hold as one column. Project it under another name, or let the changes go to another table.`,
    { cause, details: { ...cause.details, table: source } },
  );
}
