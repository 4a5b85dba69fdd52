import type { FieldType, Row, Value } from '#catalog/schemas/schema.ts';
import { changeCase, dayToMicros, decimalToDouble, parseDate, parseTime, parseTimestamp } from './scalars.ts';

/** What a part of an expression yields: the JavaScript form of its type (catalog/schemas/schema.ts), or null for NULL. */
export type Cell = Value;
export type Run = (row: Row) => Cell;

export type OperandType =
  | { kind: 'null' | 'boolean' | 'text' | 'uuid' | 'date' | 'time' | 'timestamp' | 'timestamptz' }
  /** A 32-bit integer as number. */
  | { kind: 'int' }
  /** A bigint of any size, the value times 10^scale. */
  | { kind: 'exact'; scale: number }
  | { kind: 'float' | 'double' }
  /** Can only be tested for NULL. */
  | { kind: 'opaque'; name: string };

export interface Operand {
  type: OperandType;
  run: Run;
  isConstant: boolean;
  /** The text of a bare 'literal', which takes the type of what it meets. */
  bareText?: string;
  at: number;
}

export function operandType(type: FieldType, name: string): OperandType {
  switch (type.kind) {
    case 'string':
      return { kind: 'text' };
    case 'long':
      return { kind: 'exact', scale: 0 };
    case 'decimal':
      return { kind: 'exact', scale: type.scale };
    case 'timestamp_ns':
    case 'timestamptz_ns':
    case 'binary':
    case 'fixed':
    case 'struct':
    case 'list':
    case 'map':
      return { kind: 'opaque', name };
    default:
      return { kind: type.kind };
  }
}

/** In the words that people use for it in SQL. */
export function describeType(type: OperandType): string {
  switch (type.kind) {
    case 'int':
      return 'integer';
    case 'exact':
      return type.scale === 0 ? 'bigint' : 'decimal';
    case 'opaque':
      return type.name;
    default:
      return type.kind;
  }
}

export function isNumeric(type: OperandType): boolean {
  return type.kind === 'int' || type.kind === 'exact' || type.kind === 'float' || type.kind === 'double';
}

export function constant(type: OperandType, value: Cell, at: number): Operand {
  return { type, run: () => value, isConstant: true, at };
}

/** An operand that is computed from others, once and for all where they are constants. */
export function derived(type: OperandType, at: number, inputs: readonly Operand[], run: Run): Operand {
  if (!inputs.every((input) => input.isConstant)) return { type, run, isConstant: false, at };
  return constant(type, run([]), at);
}

/** Applies `change` to values other than NULL. */
function mapped(operand: Operand, type: OperandType, change: (value: never) => Cell): Operand {
  const { run } = operand;
  return derived(type, operand.at, [operand], (row) => {
    const value = run(row);
    return value === null ? null : change(value as never);
  });
}

/**
 * The operand as values of `type`, without any loss but the rounding of an exact number to a double; null where that makes
 * no sense. A timestamp without zone is taken as UTC.
 */
export function convert(operand: Operand, type: OperandType): Operand | null {
  const from = operand.type;
  if (from.kind === 'null') return constant(type, null, operand.at);
  if (operand.bareText !== undefined && type.kind !== 'text') return readText(operand.bareText, type, operand.at);
  switch (type.kind) {
    case 'exact':
      return toExact(operand, type.scale);
    case 'float':
    case 'double':
      return toDouble(operand, type.kind);
    case 'text':
      return from.kind === 'text' || from.kind === 'uuid' ? operand : null;
    case 'timestamp':
    case 'timestamptz':
      if (from.kind === 'date') return mapped(operand, type, (days: number) => dayToMicros(days));
      return from.kind === 'timestamp' || from.kind === 'timestamptz' ? { ...operand, type } : null;
    default:
      return from.kind === type.kind ? operand : null;
  }
}

function toExact(operand: Operand, scale: number): Operand | null {
  const from = operand.type;
  const type: OperandType = { kind: 'exact', scale };
  if (from.kind === 'int') {
    const factor = 10n ** BigInt(scale);
    return mapped(operand, type, (value: number) => BigInt(value) * factor);
  }
  if (from.kind !== 'exact' || from.scale > scale) return null;
  if (from.scale === scale) return operand;
  const factor = 10n ** BigInt(scale - from.scale);
  return mapped(operand, type, (value: bigint) => value * factor);
}

function toDouble(operand: Operand, kind: 'float' | 'double'): Operand | null {
  const from = operand.type;
  const round = kind === 'float' ? Math.fround : (value: number) => value;
  if (from.kind === 'exact')
    return mapped(operand, { kind }, (value: bigint) => round(decimalToDouble(value, from.scale)));
  if (from.kind === 'int' && kind === 'float') return mapped(operand, { kind }, round);
  return isNumeric(from) ? { ...operand, type: { kind } } : null;
}

/** A bare text as a value of the type it is compared with. */
function readText(text: string, type: OperandType, at: number): Operand | null {
  const value = readTextValue(text, type);
  return value === null ? null : constant(type, value, at);
}

function readTextValue(text: string, type: OperandType): Cell {
  switch (type.kind) {
    case 'date':
      return parseDate(text);
    case 'time':
      return parseTime(text);
    case 'timestamp': {
      const instant = parseTimestamp(text);
      return instant === null || instant.hasZone ? null : instant.micros;
    }
    case 'timestamptz':
      return parseTimestamp(text)?.micros ?? null;
    case 'uuid':
      return /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text) ? changeCase(text, 'lower') : null;
    default:
      return null;
  }
}

/** The type in which two operands are compared or chosen between; null if they have none in common. */
export function commonType(a: Operand, b: Operand): OperandType | null {
  if (a.type.kind === 'null') return b.type;
  if (b.type.kind === 'null') return a.type;
  if (a.bareText !== undefined && b.bareText === undefined) return isTextLike(b.type) ? b.type : null;
  if (b.bareText !== undefined && a.bareText === undefined) return isTextLike(a.type) ? a.type : null;
  if (isNumeric(a.type) && isNumeric(b.type)) return commonNumber(a.type, b.type);
  const kinds = [a.type.kind, b.type.kind];
  if (a.type.kind === b.type.kind) return a.type.kind === 'opaque' ? null : a.type;
  if (kinds.every((kind) => kind === 'text' || kind === 'uuid')) return { kind: 'text' };
  if (!kinds.every((kind) => kind === 'date' || kind === 'timestamp' || kind === 'timestamptz')) return null;
  return { kind: kinds.includes('timestamptz') ? 'timestamptz' : 'timestamp' };
}

/** True for types whose values a bare text may stand for. */
function isTextLike(type: OperandType): boolean {
  return ['text', 'uuid', 'date', 'time', 'timestamp', 'timestamptz'].includes(type.kind);
}

export function commonNumber(a: OperandType, b: OperandType): OperandType {
  if (a.kind === 'double' || b.kind === 'double') return { kind: 'double' };
  if (a.kind === 'float' || b.kind === 'float') return { kind: 'float' };
  if (a.kind === 'int' && b.kind === 'int') return { kind: 'int' };
  return { kind: 'exact', scale: Math.max(scaleOf(a), scaleOf(b)) };
}

export function scaleOf(type: OperandType): number {
  return type.kind === 'exact' ? type.scale : 0;
}
