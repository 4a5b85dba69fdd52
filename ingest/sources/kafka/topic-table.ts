import { DailiesError } from '#catalog/error.ts';
import { type Field, type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { ChangeEvent } from '../../event.ts';
import { isObject, NotOfType } from '../producer/decode-json.ts';
import { NoType, widenType } from '../producer/infer-type.ts';
import type { ConnectStruct } from './connect-type.ts';
import { OddText } from './decoded.ts';
import type { Envelope } from './envelope.ts';
import type { KafkaMemory } from './kafka-memory.ts';
import type { Message } from './message-decoder.ts';
import { connectColumns, inferredColumns, type RowShape, rowShape, type ShapeColumn } from './row-shape.ts';
import type { UnavailableValue } from './unavailable-value.ts';

/** Where a record stands, for what is wrong with it. */
export interface RecordPlace {
  topic: string;
  partition: number;
  offset: number;
}

/** A change as its batch holds it, but for the transaction. */
export interface DecodedChange {
  schema: Schema;
  event: Omit<ChangeEvent, 'tx'>;
}

/** More shapes than a topic will ever have at once: of one that changes with each record none is kept for ever. */
const mostShapes = 50;

/**
 * One table as its topic tells it: turns envelopes into changes. A shape grows by a text column where a value needs it, and,
 * where the topic tells no types, by the fields that come.
 */
export class TopicTable {
  /** schema.table */
  readonly name: string;
  readonly #source: string;
  readonly #memory: KafkaMemory;
  readonly #unavailable: UnavailableValue;
  readonly #columns = new Map<ConnectStruct, ShapeColumn[]>();
  readonly #shapes = new Map<ShapeColumn[], Map<string, RowShape>>();
  #inferred: { fields: readonly Field[]; columns: ShapeColumn[]; names: ReadonlySet<string> };
  /** Of the last change, for a tombstone. */
  #last: RowShape | null = null;

  constructor(name: string, deps: { source: string; memory: KafkaMemory; unavailable: UnavailableValue }) {
    this.name = name;
    this.#source = deps.source;
    this.#memory = deps.memory;
    this.#unavailable = deps.unavailable;
    const fields = deps.memory.inferred(name);
    this.#inferred = inferredOf(fields);
  }

  /** Null before anything of the table was read. */
  get schema(): Schema | null {
    return this.#last?.schema ?? null;
  }

  /**
   * The change that a record tells. `key` is null for a table without one. `isSample`: types of fields that nobody told may
   * still widen. Throws `value_unsupported`, naming the record and the field, for what cannot be carried.
   */
  change(envelope: Envelope, key: Message | null, place: RecordPlace, isSample = false): DecodedChange {
    const { op, before, after, rowType, connector } = envelope;
    const keyRow = key === null ? null : this.#keyRow(key, place);
    const keyNames = keyRow === null ? [] : Object.keys(keyRow);
    if (op === 't') {
      this.#last ??= this.#shape(rowType, keyNames);
      return { schema: this.#last.schema, event: { op, before: null, after: null } };
    }
    // What a delete of Postgres holds beside the key is NULL, or the column's default, where the server did not tell it.
    const isOldWhole = keyRow === null || connector !== 'postgresql';
    if (rowType === null) this.#infer([after ?? (isOldWhole ? before : null), keyRow], keyNames, place, isSample);
    const old = isOldWhole && (op === 'u' || op === 'd') ? before : null;
    for (;;) {
      const shape = this.#shape(rowType, keyNames);
      const missing = keyNames[shape.keyAt.indexOf(-1)];
      if (missing !== undefined)
        throw this.#refused(place, missing, 'is a field of the key that the row does not have');
      const [newRow, newOdd] = after === null ? [null, []] : this.#row(shape, after, place);
      const [oldRow, oldOdd] = old === null ? [null, []] : this.#row(shape, old, place);
      const odd = [...newOdd, ...oldOdd].find((column) => !shape.textAt.has(column));
      if (odd !== undefined) {
        this.#memory.addTextColumn(this.name, shape.columns[odd]?.name ?? '');
        continue;
      }
      this.#last = shape;
      const keyed = op === 'd' && oldRow === null && keyRow !== null ? this.#onlyKey(shape, keyRow, place) : oldRow;
      if (op === 'd' && keyed === null)
        throw this.#refused(place, null, 'is a delete that tells neither a key nor the old row');
      return { schema: shape.schema, event: { op, before: keyed, after: newRow } };
    }
  }

  /** The delete that a tombstone stands for; null where nothing tells of what shape the table is, or it has no key. */
  tombstone(key: Message | null, place: RecordPlace): DecodedChange | null {
    const shape = this.#last;
    if (key === null || shape === null || shape.schema.key.length === 0) return null;
    const keyRow = this.#keyRow(key, place);
    if (Object.keys(keyRow).join('\0') !== shape.schema.key.join('\0')) return null;
    return { schema: shape.schema, event: { op: 'd', before: this.#onlyKey(shape, keyRow, place), after: null } };
  }

  /** True if these inferred fields are all known, and plain. */
  knowsAll(row: Readonly<Record<string, unknown>> | null): boolean {
    if (row === null) return true;
    for (const name in row) {
      const raw = row[name];
      if (raw === null) continue;
      if (typeof raw === 'object' || !this.#inferred.names.has(name)) return false;
    }
    return true;
  }

  #shape(rowType: ConnectStruct | null, key: readonly string[]): RowShape {
    const columns = rowType === null ? this.#inferred.columns : this.#columnsOf(rowType);
    let shapes = this.#shapes.get(columns);
    if (!shapes) {
      if (this.#shapes.size >= mostShapes) this.#shapes.clear();
      shapes = new Map();
      this.#shapes.set(columns, shapes);
    }
    const texts = this.#memory.textColumns(this.name);
    const name = [key.join('\0'), texts.join('\0')].join('\0\0');
    const shape = shapes.get(name) ?? rowShape(columns, key, texts);
    shapes.set(name, shape);
    return shape;
  }

  #columnsOf(rowType: ConnectStruct): ShapeColumn[] {
    const known = this.#columns.get(rowType);
    if (known) return known;
    if (this.#columns.size >= mostShapes) this.#columns.clear();
    const columns = connectColumns(rowType);
    this.#columns.set(rowType, columns);
    return columns;
  }

  /** A row of the shape's fields, and the columns, by index, that need their text beside them. */
  #row(shape: RowShape, raw: Readonly<Record<string, unknown>>, place: RecordPlace): [Row, number[]] {
    const row: Row[number][] = new Array(shape.schema.fields.length).fill(null);
    const odd: number[] = [];
    for (const [index, column] of shape.columns.entries()) {
      const member = raw[column.name];
      if (member === undefined || member === null) continue;
      if (this.#unavailable.is(member)) {
        row[index] = UNKNOWN;
        const text = shape.textAt.get(index);
        if (text !== undefined) row[text] = UNKNOWN;
        continue;
      }
      const value = column.decode(member);
      if (value instanceof NotOfType) throw this.#refused(place, column.name + value.path, `must be ${value.wanted}`);
      if (!(value instanceof OddText)) {
        row[index] = value;
        continue;
      }
      if (shape.keyAt.includes(index))
        throw this.#refused(place, column.name, 'is of the key, and its type cannot carry the value');
      odd.push(index);
      const text = shape.textAt.get(index);
      if (text !== undefined) row[text] = value.text;
    }
    for (const [at, index] of shape.keyAt.entries()) {
      if (row[index] === null || row[index] === UNKNOWN)
        throw this.#refused(place, shape.schema.key[at] ?? null, 'is of the key, and the row has no value of it');
    }
    return [row, odd];
  }

  #onlyKey(shape: RowShape, keyRow: Readonly<Record<string, unknown>>, place: RecordPlace): Row {
    const row: Row[number][] = shape.schema.fields.map(() => UNKNOWN);
    for (const index of shape.keyAt) {
      const column = shape.columns[index] as ShapeColumn;
      row[index] = this.#keyValue(column, keyRow[column.name], place);
    }
    return row;
  }

  #keyValue(column: ShapeColumn, raw: unknown, place: RecordPlace): Value {
    const value = raw === null || raw === undefined ? null : column.decode(raw);
    if (value === null) throw this.#refused(place, column.name, 'is of the key, and the key has no value of it');
    if (value instanceof NotOfType) throw this.#refused(place, column.name + value.path, `must be ${value.wanted}`);
    if (value instanceof OddText)
      throw this.#refused(place, column.name, 'is of the key, and its type cannot carry the value');
    return value;
  }

  #keyRow({ value }: Message, place: RecordPlace): Readonly<Record<string, unknown>> {
    if (isObject(value) && !(value instanceof Uint8Array)) return value;
    throw this.#refused(place, null, 'has a key that is no struct of fields');
  }

  #infer(
    rows: readonly (Readonly<Record<string, unknown>> | null)[],
    key: readonly string[],
    place: RecordPlace,
    isSample: boolean,
  ): void {
    if (!isSample && rows.every((row) => this.knowsAll(row))) return;
    const fields = [...this.#inferred.fields];
    let isChanged = false;
    for (const [name, raw] of rows.flatMap((row) => (row === null ? [] : Object.entries(row)))) {
      const at = fields.findIndex((field) => field.name === name);
      if (raw === null || this.#unavailable.is(raw)) continue;
      const known = fields[at];
      const type = widenType(known?.type ?? null, raw, isSample);
      if (type instanceof NoType) throw this.#refused(place, name, type.reason);
      if (type === null || type === known?.type) continue;
      isChanged = true;
      if (known) fields[at] = { ...known, type };
      else fields.push({ name, type, required: key.includes(name) });
    }
    if (!isChanged) return;
    this.#inferred = inferredOf(fields);
    this.#memory.setInferred(this.name, fields);
  }

  #refused(place: RecordPlace, field: string | null, what: string): DailiesError {
    const { topic, partition, offset } = place;
    const subject = field === null ? '' : `${field} `;
    return new DailiesError(
      'value_unsupported',
      `The record of ${topic}, partition ${partition}, offset ${offset}: ${subject}${what}.`,
      {
        details: {
          table: `${this.#source}.${this.name}`,
          topic,
          partition,
          offset,
          ...(field === null ? {} : { field }),
        },
      },
    );
  }
}

function inferredOf(fields: readonly Field[]) {
  return { fields, columns: inferredColumns(fields), names: new Set(fields.map(({ name }) => name)) };
}
