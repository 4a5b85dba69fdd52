import { type Field, keyIndexes, type Row, type Schema, type Value } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, Op } from '../../event.ts';
import { dayNumber, parseInstant } from './date-text.ts';
import { decodeJson, isObject, NotOfType } from './decode-json.ts';
import { NoType, widenType } from './infer-type.ts';

/** What is wrong with one event; `index` counts from 0. */
export interface EventProblem {
  index: number;
  field?: string;
  message: string;
}

/** A table that producers write: its shape as it is known, and whether events may add fields. */
export interface ProducerTable {
  /** Its name below the source. */
  name: string;
  schema: Schema;
  isInferred: boolean;
}

export interface CheckedEvents {
  /** The table's shape, grown by what these events bring; the same object where they bring nothing new. */
  schema: Schema;
  events: readonly (Omit<ChangeEvent, 'tx'> & { timeMicros: bigint | null })[];
}

/** More problems than these help nobody. */
const maxProblems = 100;
const ops: ReadonlySet<string> = new Set<Op>(['c', 'u', 'd', 'r', 't']);
const members: ReadonlySet<string> = new Set(['op', 'key', 'before', 'after', 'ts']);

/**
 * The events of one request as changes, or everything that is wrong with them, of the first hundred events that have
 * something wrong. `items` are values of `parseExactJson`. All or nothing: with a problem no event is taken.
 *
 * An event is `{op, key, before?, after?, ts?}`: c, u and r carry the whole row in `after`, d and a change of the key name
 * the old one by `key` or `before`; a field that `after` leaves out is NULL. `key` is an object, or the value itself where
 * the key has one field; it may be left out where the row tells it. `ts` is ISO 8601 or milliseconds since 1970.
 */
export function checkEvents(table: ProducerTable, items: readonly unknown[]): CheckedEvents | EventProblem[] {
  const schema = table.isInferred ? inferSchema(table, items) : table.schema;
  if (Array.isArray(schema)) return schema;
  const checker = new EventChecker(table.name, schema as Schema);
  const events: CheckedEvents['events'][number][] = [];
  for (const [index, item] of items.entries()) {
    const checked = checker.check(item);
    for (const event of checked) {
      if (event instanceof Problem) checker.problems.push({ index, ...event.told });
      else events.push(event);
    }
    if (checker.problems.length >= maxProblems) break;
  }
  return checker.problems.length > 0 ? checker.problems : { schema: schema as Schema, events };
}

class Problem {
  readonly told: Omit<EventProblem, 'index'>;

  constructor(message: string, field?: string) {
    this.told = field === undefined ? { message } : { field, message };
  }
}

class EventChecker {
  readonly problems: EventProblem[] = [];
  readonly #table: string;
  readonly #fields: readonly Field[];
  readonly #known: ReadonlyMap<string, Field>;
  readonly #key: readonly string[];
  readonly #keyAt: readonly number[];

  constructor(table: string, schema: Schema) {
    this.#table = table;
    this.#fields = schema.fields;
    this.#known = new Map(schema.fields.map((field) => [field.name, field]));
    this.#key = schema.key;
    this.#keyAt = keyIndexes(schema);
  }

  /** The changes that one event means (two where it moves a row to another key), or what is wrong with it. */
  check(item: unknown): (CheckedEvents['events'][number] | Problem)[] {
    if (!isObject(item)) return [new Problem('An event is an object: {"op": "c", "key": …, "after": {…}}.')];
    const stray = Object.keys(item).find((name) => !members.has(name));
    if (stray !== undefined)
      return [new Problem('is no part of an event; it has op, key, before, after and ts.', stray)];
    const { op } = item;
    if (typeof op !== 'string' || !ops.has(op)) return [new Problem('must be c, u, d, r or t.', 'op')];
    const timeMicros = instantOf(item.ts);
    if (timeMicros instanceof Problem) return [timeMicros];
    if (op === 't') {
      const extra = ['key', 'before', 'after'].find((name) => item[name] !== undefined && item[name] !== null);
      if (extra !== undefined) return [new Problem('does not belong to op t, which empties the table.', extra)];
      return [{ op, before: null, after: null, timeMicros }];
    }
    return this.#rows(op as Exclude<Op, 't'>, item).map((event) =>
      event instanceof Problem ? event : { ...event, timeMicros },
    );
  }

  #rows(
    op: Exclude<Op, 't'>,
    item: Record<string, unknown>,
  ): ({ op: Op; before: Row | null; after: Row | null } | Problem)[] {
    const problems: Problem[] = [];
    const part = (name: 'before' | 'after', isWanted: boolean): Row | null => {
      const json = item[name];
      if (json === undefined || json === null) {
        if (isWanted) problems.push(new Problem(`is missing: op ${op} carries the whole row.`, name));
        return null;
      }
      if (op === 'd' && name === 'after') {
        problems.push(new Problem('does not belong to op d.', name));
        return null;
      }
      return this.#row(json, name, name === 'after', problems);
    };
    const after = part('after', op !== 'd');
    const before = part('before', this.#key.length === 0 && (op === 'd' || op === 'u'));
    const key = this.#keyOf(item.key, problems);
    if (problems.length > 0) return problems;
    if (this.#key.length === 0) return [{ op, before: op === 'd' || op === 'u' ? before : null, after }];

    const keys = { after: after && this.#keyIn(after), before: before && this.#keyIn(before) };
    const old = key ?? keys.before ?? keys.after;
    if (old === null) return [new Problem(`is missing: the key of ${this.#table} is ${this.#key.join(', ')}.`, 'key')];
    if (key && keys.before && !isSame(key, keys.before)) return [new Problem('is another than that of before.', 'key')];
    if (op === 'd') return [{ op, before: before ?? this.#onlyKey(old), after: null }];
    if (after && keys.after && isSame(old, keys.after)) return [{ op, before: null, after }];
    if (op !== 'u') return [new Problem('is another than that of after.', 'key')];
    return [
      { op: 'd', before: before ?? this.#onlyKey(old), after: null },
      { op: 'c', before: null, after },
    ];
  }

  #row(json: unknown, part: string, isWhole: boolean, problems: Problem[]): Row {
    if (!isObject(json)) {
      problems.push(new Problem('must be an object with the fields of the row.', part));
      return [];
    }
    for (const name of Object.keys(json)) {
      if (this.#known.has(name)) continue;
      // An unknown field that is null tells no type, and nothing is lost without it.
      if (json[name] === null) continue;
      const message = `is no field of ${this.#table}; it has ${[...this.#known.keys()].join(', ')}.`;
      problems.push(new Problem(message, `${part}.${name}`));
    }
    return this.#fields.map((field) => {
      const value = decodeJson(field.type, json[field.name]);
      if (value instanceof NotOfType) {
        problems.push(new Problem(`must be ${value.wanted}.`, `${part}.${field.name}${value.path}`));
        return null;
      }
      if (value === null && field.required && (isWhole || this.#key.includes(field.name))) {
        problems.push(new Problem('must not be missing or null.', `${part}.${field.name}`));
      }
      return value;
    });
  }

  #keyOf(json: unknown, problems: Problem[]): Value[] | null {
    if (json === undefined || json === null) return null;
    if (this.#key.length === 0) {
      problems.push(new Problem(`must be left out: ${this.#table} has no key.`, 'key'));
      return null;
    }
    const [only] = this.#key;
    const named = isObject(json) ? json : this.#key.length === 1 && only !== undefined ? { [only]: json } : null;
    if (named === null || Object.keys(named).some((name) => !this.#key.includes(name))) {
      problems.push(new Problem(`must be an object with ${this.#key.join(', ')}.`, 'key'));
      return null;
    }
    return this.#key.map((name) => {
      const field = this.#known.get(name) as Field;
      const value = decodeJson(field.type, named[name]);
      if (value instanceof NotOfType) problems.push(new Problem(`must be ${value.wanted}.`, `key.${name}`));
      else if (value === null) problems.push(new Problem('must not be missing or null.', `key.${name}`));
      else return value;
      return null;
    });
  }

  #keyIn(row: Row): Value[] {
    return this.#keyAt.map((at) => row[at] as Value);
  }

  #onlyKey(key: readonly Value[]): Row {
    return this.#fields.map((field) => key[this.#key.indexOf(field.name)] ?? null);
  }
}

/** The table's shape with the fields that the events bring beside those it has. */
function inferSchema(table: ProducerTable, items: readonly unknown[]): Schema | EventProblem[] {
  const fields = [...table.schema.fields];
  const known = new Map(fields.map((field, index) => [field.name, index]));
  const problems: EventProblem[] = [];
  for (const [index, item] of items.entries()) {
    if (!isObject(item)) continue;
    const parts: Record<string, unknown> = {
      key: keyObject(item.key, table.schema.key),
      before: item.before,
      after: item.after,
    };
    for (const [part, json] of Object.entries(parts)) {
      if (!isObject(json)) continue;
      for (const [name, value] of Object.entries(json)) {
        const at = known.get(name);
        const field = at === undefined ? undefined : fields[at];
        const isFresh = at === undefined || at >= table.schema.fields.length;
        const type = widenType(field?.type ?? null, value, isFresh);
        if (type instanceof NoType) problems.push({ index, field: `${part}.${name}`, message: `${type.reason}.` });
        else if (type === null || type === field?.type) continue;
        else if (field && at !== undefined) fields[at] = { ...field, type };
        else known.set(name, fields.push({ name, type, required: table.schema.key.includes(name) }) - 1);
      }
    }
    if (problems.length >= maxProblems) break;
  }
  if (problems.length > 0) return problems;
  const lacking = table.schema.key.find((name) => !known.has(name));
  if (lacking !== undefined)
    return [{ index: 0, field: `key.${lacking}`, message: 'is missing: the table has this key.' }];
  return fields.length === table.schema.fields.length && fields.every((field, at) => field === table.schema.fields[at])
    ? table.schema
    : { fields, key: table.schema.key };
}

function keyObject(json: unknown, key: readonly string[]): unknown {
  const [only] = key;
  return isObject(json) || key.length !== 1 || only === undefined || json === undefined ? json : { [only]: json };
}

function instantOf(ts: unknown): bigint | null | Problem {
  if (ts === undefined || ts === null) return null;
  if (typeof ts === 'number' && Number.isSafeInteger(ts) && Math.abs(ts) < 253_402_300_800_000)
    return BigInt(ts) * 1000n;
  const micros = typeof ts === 'string' && dayNumber(ts.slice(0, 10)) !== null ? parseInstant(ts, true) : null;
  return micros ?? new Problem('must be ISO 8601 with a zone, or milliseconds since 1970.', 'ts');
}

function isSame(a: readonly Value[], b: readonly Value[]): boolean {
  return a.every((value, index) => {
    const other = b[index];
    if (value instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(value, other) === 0;
    return Object.is(value, other);
  });
}
