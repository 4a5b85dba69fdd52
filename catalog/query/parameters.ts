import { DailiesError } from '../error.ts';

/** A parameter's value on its way to DuckDB. `value` is text in the type's own form; null is NULL. */
export interface BoundParameter {
  name: string;
  type: ParameterType;
  value: string | null;
}

export type ParameterType = 'text' | 'integer' | 'decimal' | 'double' | 'boolean' | 'date' | 'timestamp';

/** The types that a report may declare for a parameter. */
export const declaredTypes = ['text', 'number', 'boolean', 'date', 'timestamp'] as const;
type DeclaredType = (typeof declaredTypes)[number];

/** A value whose type the asker has declared, as a report's parameters are. */
interface TypedParameter {
  type: DeclaredType;
  value: unknown;
}

/**
 * Types every value: plain JSON values and Dates by what they are, `{type, value}` by its declaration. Throws `invalid`,
 * naming the parameter but not its value.
 */
export function bindParameters(values: Readonly<Record<string, unknown>>): BoundParameter[] {
  return Object.entries(values).map(([name, value]) => {
    if (isTyped(value)) return { name, ...asDeclared(name, value.type, value.value) };
    return { name, ...byItself(name, value) };
  });
}

type Typed = Pick<BoundParameter, 'type' | 'value'>;

function isTyped(value: unknown): value is TypedParameter {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    'value' in value &&
    declaredTypes.includes(value.type as DeclaredType)
  );
}

function byItself(name: string, value: unknown): Typed {
  if (value === null || value === undefined) return { type: 'text', value: null };
  if (typeof value === 'string') return { type: 'text', value };
  if (typeof value === 'boolean') return { type: 'boolean', value: String(value) };
  if (typeof value === 'number' || typeof value === 'bigint') return asNumber(name, value);
  if (value instanceof Date && !Number.isNaN(value.getTime())) return { type: 'timestamp', value: value.toISOString() };
  throw wrong(name, 'must be a text, a number, true, false or null');
}

function asDeclared(name: string, type: DeclaredType, value: unknown): Typed {
  if (value === null || value === undefined) return { type: type === 'number' ? 'decimal' : type, value: null };
  switch (type) {
    case 'text':
      if (typeof value === 'object') throw wrong(name, 'must be a text');
      return { type, value: String(value) };
    case 'number':
      if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string')
        return asNumber(name, value);
      throw wrong(name, 'must be a number');
    case 'boolean':
      if (value === true || value === false || value === 'true' || value === 'false')
        return { type, value: String(value) };
      throw wrong(name, 'must be true or false');
    case 'date': {
      const text = value instanceof Date ? value.toISOString().slice(0, 10) : String(value);
      if (!isDate(text)) throw wrong(name, 'must be a date as in 2026-01-31');
      return { type, value: text };
    }
    case 'timestamp': {
      const text = value instanceof Date ? value.toISOString() : String(value);
      if (!isTimestamp(text)) throw wrong(name, 'must be a time as in 2026-01-31T09:00:00Z');
      return { type, value: text };
    }
  }
}

function asNumber(name: string, value: number | bigint | string): Typed {
  const text = String(value).trim();
  if (/^-?\d{1,18}$/.test(text)) return { type: 'integer', value: text };
  if (/^-?\d+(\.\d+)?$/.test(text) && text.replace(/\D/g, '').length <= 38) return { type: 'decimal', value: text };
  if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return { type: 'double', value: text };
  throw wrong(name, 'must be a number');
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

function isTimestamp(text: string): boolean {
  return (
    /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?$/.test(text) &&
    !Number.isNaN(Date.parse(text))
  );
}

function wrong(name: string, what: string): DailiesError {
  return new DailiesError('invalid', `Parameter :${name} ${what}.`, { details: { parameter: name } });
}
