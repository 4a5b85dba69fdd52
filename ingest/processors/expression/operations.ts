import type { Value } from '#catalog/schemas/schema.ts';
import { type Cell, constant, derived, type Operand, type OperandType, type Run } from './operand.ts';
import { changeCase, compareDouble, compareText } from './scalars.ts';
import type { Comparison } from './syntax.ts';

export const textFunctions = new Map<string, { type: OperandType; run: (text: string) => Cell }>([
  ['lower', { type: { kind: 'text' }, run: (text) => changeCase(text, 'lower') }],
  ['upper', { type: { kind: 'text' }, run: (text) => changeCase(text, 'upper') }],
  ['length', { type: { kind: 'int' }, run: (text) => [...text].length }],
]);

export const acceptance: Record<Comparison, (order: number) => boolean> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

export function orderOf(type: OperandType): (a: Cell, b: Cell) => number {
  switch (type.kind) {
    case 'text':
    case 'uuid':
      return (a, b) => compareText(a as string, b as string);
    case 'float':
    case 'double':
      return (a, b) => compareDouble(a as number, b as number);
    default:
      return (a, b) => {
        const [x, y] = [a as number | bigint, b as number | bigint];
        return x < y ? -1 : x > y ? 1 : 0;
      };
  }
}

export function numberLiteral(text: string, at: number): Operand {
  if (/[eE]/.test(text)) return constant({ kind: 'double' }, Number(text), at);
  const [whole = '', fraction = ''] = text.split('.');
  const unscaled = BigInt(whole + fraction);
  const fitsInt = fraction === '' && unscaled <= 2_147_483_647n;
  if (fitsInt) return constant({ kind: 'int' }, Number(unscaled), at);
  return constant({ kind: 'exact', scale: fraction.length }, unscaled, at);
}

export function reader(index: number, steps: readonly number[]): Run {
  if (steps.length === 0) return (row) => row[index] as Value;
  return (row) => {
    let value = row[index] as Value;
    for (const step of steps) {
      if (value === null) return null;
      value = (value as readonly Value[])[step] ?? null;
    }
    return value;
  };
}

export function negation(run: Run): Run {
  return (row) => {
    const value = run(row);
    return value === null ? null : !value;
  };
}

export function binary<T extends number | bigint>(
  type: OperandType,
  at: number,
  a: Operand,
  b: Operand,
  compute: (x: T, y: T) => T,
): Operand {
  return derived(type, at, [a, b], (row) => {
    const x = a.run(row);
    if (x === null) return null;
    const y = b.run(row);
    return y === null ? null : compute(x as T, y as T);
  });
}
