import type { Place } from './child-protocol.ts';
import { StatementError } from './query-problem.ts';
import { isTree, type Tree } from './syntax-tree.ts';

/**
 * A state of a table as a statement names it, plain JSON:
 *
 * | in SQL                                         | point       |
 * | ---------------------------------------------- | ----------- |
 * | `AT (VERSION => 123)`, `changes(…, 123)`       | `snapshot`  |
 * | `AT (VERSION => 'release')`                    | `name`      |
 * | `AT (TIMESTAMP => '2026-03-01 09:00')`         | `time`      |
 * | `AT (TIMESTAMP => now() - INTERVAL 1 DAY)`     | `time`      |
 * | `changes(…, 'release')`, `changes(…, '2026-03-01')` | `text`: a tag or branch of this name, else a time |
 * | `AT (VERSION => :version)`                     | `parameter` |
 */
export type TablePoint =
  | { kind: 'snapshot'; id: string }
  | { kind: 'name'; name: string }
  | { kind: 'time'; timeMs: number }
  | { kind: 'text'; text: string }
  | { kind: 'parameter'; name: string; unit: PointUnit };

/** What a value stands for where it is written: `any` is told by the value itself. */
export type PointUnit = 'version' | 'timestamp' | 'any';

/** The point that an expression names. Throws `StatementError` for an expression that is not one of the above. */
export function tablePoint(expression: unknown, unit: PointUnit, nowMs: number, at: Place | null): TablePoint {
  const constant = isTree(expression) ? constantOf(expression) : null;
  if (isTree(expression) && expression.type === 'VALUE_PARAMETER') {
    return { kind: 'parameter', name: String(expression.identifier), unit };
  }
  if (constant !== null) {
    const point = pointOfValue(constant, unit);
    if (point !== null) return point;
  } else if (unit !== 'version') {
    const timeMs = timeOf(expression, nowMs);
    if (timeMs !== null) return { kind: 'time', timeMs };
  }
  throw new StatementError('sql_invalid', explain(unit), at);
}

/** The point that a constant or a parameter's value names, null if it names none. A bigint is an integer, a text a text. */
export function pointOfValue(value: string | bigint, unit: PointUnit): TablePoint | null {
  if (typeof value === 'bigint') return unit === 'timestamp' ? null : { kind: 'snapshot', id: String(value) };
  if (unit === 'version') return { kind: 'name', name: value };
  if (unit === 'any') return { kind: 'text', text: value };
  const timeMs = parseTime(value);
  return timeMs === null ? null : { kind: 'time', timeMs };
}

function explain(unit: PointUnit): string {
  switch (unit) {
    case 'version':
      return "VERSION takes a snapshot id or the name of a tag: AT (VERSION => 123), AT (VERSION => 'release').";
    case 'timestamp':
      return "TIMESTAMP takes a time: AT (TIMESTAMP => '2026-03-01 09:00'), AT (TIMESTAMP => now() - INTERVAL 1 DAY).";
    case 'any':
      return "A state of the table is a snapshot id, the name of a tag, or a time: 123, 'release', '2026-03-01 09:00', now() - INTERVAL 1 DAY.";
  }
}

/** The text or integer of a constant; null for any other expression. */
function constantOf(tree: Tree): string | bigint | null {
  if (tree.type !== 'VALUE_CONSTANT' || !isTree(tree.value) || tree.value.is_null === true) return null;
  const { type, value } = tree.value;
  const id = isTree(type) ? String(type.id) : '';
  if (id === 'VARCHAR') return String(value);
  if (/^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/.test(id) && (typeof value === 'number' || typeof value === 'bigint')) {
    return BigInt(value);
  }
  return null;
}

/**
 * Milliseconds since 1970 of a date or time as SQL writes it, in UTC unless it names its zone; null for any other text.
 * What is finer than a millisecond is cut.
 */
export function parseTime(text: string): number | null {
  const match =
    /^(\d{4,6}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i.exec(
      text.trim(),
    );
  if (!match) return null;
  const [, date, time = '00:00', seconds = '00', fraction = '', zone = 'Z'] = match;
  const offset = /^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2').toUpperCase();
  const timeMs = Date.parse(`${date}T${time}:${seconds}.${fraction.padEnd(3, '0').slice(0, 3)}${offset}`);
  return Number.isNaN(timeMs) ? null : timeMs;
}

/** A time that needs nothing but the clock: a literal, now(), today(), and intervals added to one. */
function timeOf(expression: unknown, nowMs: number): number | null {
  if (!isTree(expression)) return null;
  if (expression.class === 'CAST') return castTime(expression, nowMs);
  if (expression.class !== 'FUNCTION' || typeof expression.function_name !== 'string') return null;
  const children = Array.isArray(expression.children) ? expression.children : [];
  const name = expression.function_name.toLowerCase();
  if (children.length === 0) {
    if (['now', 'get_current_timestamp', 'current_timestamp', 'transaction_timestamp'].includes(name)) return nowMs;
    if (['today', 'current_date'].includes(name)) return nowMs - (nowMs % 86_400_000);
    return null;
  }
  if (children.length !== 2 || (name !== '+' && name !== '-')) return null;
  const start = timeOf(children[0], nowMs);
  const interval = intervalOf(children[1]);
  if (start === null || interval === null) return null;
  const sign = name === '-' ? -1 : 1;
  return addMonths(start, sign * interval.months) + sign * interval.ms;
}

function castTime(cast: Tree, nowMs: number): number | null {
  const type = isTree(cast.cast_type) ? String(cast.cast_type.id) : '';
  if (!/^(DATE|TIMESTAMP( WITH TIME ZONE)?)$/.test(type)) return null;
  const constant = isTree(cast.child) ? constantOf(cast.child) : null;
  const timeMs = typeof constant === 'string' ? parseTime(constant) : timeOf(cast.child, nowMs);
  return timeMs === null || type !== 'DATE' ? timeMs : Math.floor(timeMs / 86_400_000) * 86_400_000;
}

interface Interval {
  months: number;
  ms: number;
}

const units: Readonly<Record<string, Interval>> = {
  millisecond: { months: 0, ms: 1 },
  second: { months: 0, ms: 1000 },
  minute: { months: 0, ms: 60_000 },
  hour: { months: 0, ms: 3_600_000 },
  day: { months: 0, ms: 86_400_000 },
  week: { months: 0, ms: 7 * 86_400_000 },
  month: { months: 1, ms: 0 },
  quarter: { months: 3, ms: 0 },
  year: { months: 12, ms: 0 },
};

/** `INTERVAL 1 DAY` is the call `to_days(1)` with casts around the number, `INTERVAL '1 day'` a cast of the text. */
function intervalOf(expression: unknown): Interval | null {
  if (!isTree(expression)) return null;
  if (expression.class === 'CAST') {
    const text = isTree(expression.child) ? constantOf(expression.child) : null;
    const type = isTree(expression.cast_type) ? expression.cast_type.id : null;
    return type === 'INTERVAL' && typeof text === 'string' ? parseInterval(text) : null;
  }
  const unit = /^to_(\w+?)s$/.exec(String(expression.function_name))?.[1];
  const known = units[unit === 'centurie' ? '' : (unit ?? '')];
  const count = Array.isArray(expression.children) ? integerOf(expression.children[0]) : null;
  return known && count !== null ? { months: known.months * count, ms: known.ms * count } : null;
}

function integerOf(expression: unknown): number | null {
  if (!isTree(expression)) return null;
  if (expression.class === 'CAST') return integerOf(expression.child);
  if (expression.function_name === 'trunc' && Array.isArray(expression.children))
    return integerOf(expression.children[0]);
  const constant = constantOf(expression);
  if (constant === null || !/^-?\d{1,9}$/.test(String(constant))) return null;
  return Number(constant);
}

function parseInterval(text: string): Interval | null {
  const parts = [...text.matchAll(/(-?\d{1,9})\s*([a-z]+?)s?\b/gi)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text.replaceAll(/\s+(?=-?\d)|^\s+|\s+$/g, '')) {
    return null;
  }
  const sum: Interval = { months: 0, ms: 0 };
  for (const [, count, unit = ''] of parts) {
    const known = units[unit.toLowerCase()];
    if (!known) return null;
    sum.months += known.months * Number(count);
    sum.ms += known.ms * Number(count);
  }
  return sum;
}

function addMonths(timeMs: number, months: number): number {
  if (months === 0) return timeMs;
  const at = new Date(timeMs);
  const day = at.getUTCDate();
  at.setUTCDate(1);
  at.setUTCMonth(at.getUTCMonth() + months);
  const lastDay = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 0)).getUTCDate();
  at.setUTCDate(Math.min(day, lastDay));
  return at.getTime();
}
