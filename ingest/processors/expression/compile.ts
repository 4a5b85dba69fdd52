import type { FieldType, Row, Schema } from '#catalog/schemas/schema.ts';
import { typeName } from '#catalog/schemas/schema.ts';
import {
  type Cell,
  commonType,
  constant,
  convert,
  derived,
  describeType,
  isNumeric,
  type Operand,
  type OperandType,
  operandType,
  scaleOf,
} from './operand.ts';
import { acceptance, binary, negation, numberLiteral, orderOf, reader, textFunctions } from './operations.ts';
import { type RefusalCode, refuse, suggestion } from './refusal.ts';
import { changeCase, likeTest, parseDate, parseTimestamp } from './scalars.ts';
import type { Arithmetic, Comparison, Expression, Literal } from './syntax.ts';

export interface Condition {
  /** True, false, or null for SQL's unknown. The row must hold a value for each of `fields`. */
  test(row: Row): boolean | null;
  /** Indexes of the top-level fields that it reads. */
  fields: readonly number[];
  /** The same as dotted paths. */
  paths: readonly string[];
}

/**
 * Binds an expression to a schema. Comparisons of exact numbers are exact whatever their scale; `/` gives a double; NULL
 * follows SQL's three-valued logic. Throws `expression_invalid` for types that don't fit, `schema_incompatible` for a
 * field that is not there, each with its place in `text`.
 */
export function compileCondition(text: string, expression: Expression, schema: Schema): Condition {
  const compiler = new Compiler(text, schema);
  const operand = compiler.operand(expression);
  const { run } = compiler.boolean(operand, 'A condition');
  return {
    test: (row) => run(row) as boolean | null,
    fields: [...compiler.fields].sort((a, b) => a - b),
    paths: [...compiler.paths],
  };
}

class Compiler {
  readonly fields = new Set<number>();
  readonly paths = new Set<string>();
  readonly #text: string;
  readonly #schema: Schema;

  constructor(text: string, schema: Schema) {
    this.#text = text;
    this.#schema = schema;
  }

  operand(expression: Expression): Operand {
    const { at } = expression;
    switch (expression.kind) {
      case 'literal':
        return this.#literal(expression.literal, at);
      case 'field':
        return this.#field(expression.path, at);
      case 'not': {
        const inner = this.boolean(this.operand(expression.operand), 'NOT');
        return derived({ kind: 'boolean' }, at, [inner], negation(inner.run));
      }
      case 'logic':
        return this.#logic(expression.operator, this.operand(expression.left), this.operand(expression.right), at);
      case 'compare':
        return this.#compare(expression.operator, this.operand(expression.left), this.operand(expression.right), at);
      case 'negate':
        return this.#negate(this.operand(expression.operand), at);
      case 'arithmetic':
        return this.#arithmetic(expression.operator, this.operand(expression.left), this.operand(expression.right), at);
      case 'concat':
        return this.#textFunction(
          '||',
          [this.operand(expression.left), this.operand(expression.right)],
          at,
          (a, b) => a + b,
        );
      case 'in': {
        const operand = this.operand(expression.operand);
        const isOne = expression.items
          .map((item) => this.#compare('=', operand, this.operand(item), item.at))
          .reduce((a, b) => this.#logic('or', a, b, at));
        return expression.isNegated ? this.#not(isOne) : isOne;
      }
      case 'between': {
        const operand = this.operand(expression.operand);
        const low = this.#compare('>=', operand, this.operand(expression.low), at);
        const high = this.#compare('<=', operand, this.operand(expression.high), at);
        const isBetween = this.#logic('and', low, high, at);
        return expression.isNegated ? this.#not(isBetween) : isBetween;
      }
      case 'like':
        return this.#like(expression);
      case 'is':
        return this.#is(expression);
      case 'call':
        return this.#call(
          expression.name,
          expression.inputs.map((input) => this.operand(input)),
          at,
        );
      default:
        return expression satisfies never;
    }
  }

  /** The operand, if it is a boolean. */
  boolean(operand: Operand, whose: string): Operand {
    const converted = convert(operand, { kind: 'boolean' });
    if (converted === null || operand.bareText !== undefined)
      throw this.#refuse(operand.at, `${whose} must be true or false, not ${describeType(operand.type)}`);
    return converted;
  }

  #refuse(at: number, problem: string, code?: RefusalCode) {
    return refuse(this.#text, at, problem, code);
  }

  #literal(literal: Literal, at: number): Operand {
    switch (literal.kind) {
      case 'null':
        return constant({ kind: 'null' }, null, at);
      case 'boolean':
        return constant({ kind: 'boolean' }, literal.value, at);
      case 'text':
        return { ...constant({ kind: 'text' }, literal.value, at), bareText: literal.value };
      case 'number':
        return numberLiteral(literal.text, at);
      case 'date': {
        const days = parseDate(literal.text);
        if (days === null) throw this.#refuse(at, `'${literal.text}' is not a date like 2026-01-31`);
        return constant({ kind: 'date' }, days, at);
      }
      case 'timestamp':
      case 'timestamptz': {
        const instant = parseTimestamp(literal.text);
        if (instant === null) throw this.#refuse(at, `'${literal.text}' is not a time like 2026-01-31 18:30:00`);
        const kind = instant.hasZone ? 'timestamptz' : literal.kind;
        return constant({ kind }, instant.micros, at);
      }
      default:
        return literal satisfies never;
    }
  }

  #field(path: readonly string[], at: number): Operand {
    const [first = '', ...below] = path;
    const index = this.#schema.fields.findIndex((field) => field.name === first);
    const field = this.#schema.fields[index];
    if (field === undefined)
      throw this.#unknown(
        path,
        0,
        this.#schema.fields.map(({ name }) => name),
        at,
      );
    let type: FieldType = field.type;
    const steps: number[] = [];
    for (const [depth, name] of below.entries()) {
      if (type.kind !== 'struct') throw this.#unknown(path, depth + 1, [], at);
      const step: number = type.fields.findIndex((inner) => inner.name === name);
      const inner: { type: FieldType } | undefined = type.fields[step];
      if (inner === undefined)
        throw this.#unknown(
          path,
          depth + 1,
          type.fields.map((known) => known.name),
          at,
        );
      steps.push(step);
      type = inner.type;
    }
    this.fields.add(index);
    this.paths.add(path.join('.'));
    return { type: operandType(type, typeName(type)), run: reader(index, steps), isConstant: false, at };
  }

  #unknown(path: readonly string[], depth: number, known: readonly string[], at: number) {
    const hint = suggestion(path[depth] ?? '', known);
    const inside = depth === 0 ? '' : ` in "${path.slice(0, depth).join('.')}"`;
    return this.#refuse(at, `There is no field "${path[depth]}"${inside}${hint}`, 'schema_incompatible');
  }

  #not(operand: Operand): Operand {
    return derived({ kind: 'boolean' }, operand.at, [operand], negation(operand.run));
  }

  #logic(operator: 'and' | 'or', left: Operand, right: Operand, at: number): Operand {
    const word = operator.toUpperCase();
    const { run: a } = this.boolean(left, `The left side of ${word}`);
    const { run: b } = this.boolean(right, `The right side of ${word}`);
    const decisive = operator === 'or';
    return derived({ kind: 'boolean' }, at, [left, right], (row) => {
      const first = a(row);
      if (first === decisive) return decisive;
      const second = b(row);
      if (second === decisive) return decisive;
      return first === null || second === null ? null : !decisive;
    });
  }

  #compare(operator: Comparison, left: Operand, right: Operand, at: number): Operand {
    const { type, a, b } = this.#meet(left, right, at);
    const order = orderOf(type);
    const accept = acceptance[operator];
    const { run: x } = a;
    const { run: y } = b;
    return derived({ kind: 'boolean' }, at, [a, b], (row) => {
      const first = x(row);
      if (first === null) return null;
      const second = y(row);
      return second === null ? null : accept(order(first, second));
    });
  }

  /** Both in the type that they have in common. */
  #meet(left: Operand, right: Operand, at: number): { type: OperandType; a: Operand; b: Operand } {
    const type = commonType(left, right);
    const a = type === null ? null : convert(left, type);
    const b = type === null ? null : convert(right, type);
    if (type !== null && a !== null && b !== null) return { type, a, b };
    const bare = left.bareText !== undefined ? left : right;
    if (type !== null && bare.bareText !== undefined)
      throw this.#refuse(bare.at, `'${bare.bareText}' is not a ${describeType(type)}`);
    throw this.#refuse(at, `${describeType(left.type)} and ${describeType(right.type)} don't compare`);
  }

  #negate(operand: Operand, at: number): Operand {
    return this.#arithmetic('-', constant({ kind: 'int' }, 0, at), operand, at);
  }

  #arithmetic(operator: Arithmetic, left: Operand, right: Operand, at: number): Operand {
    for (const side of [left, right])
      if (!isNumeric(side.type) && side.type.kind !== 'null')
        throw this.#refuse(side.at, `${operator} works on numbers, not ${describeType(side.type)}`);
    const isExact = ![left, right].some(({ type }) => type.kind === 'float' || type.kind === 'double');
    return isExact && operator !== '/'
      ? this.#exactArithmetic(operator, left, right, at)
      : this.#doubleArithmetic(operator, left, right, at);
  }

  #exactArithmetic(operator: '+' | '-' | '*', left: Operand, right: Operand, at: number): Operand {
    const isProduct = operator === '*';
    const common = Math.max(scaleOf(left.type), scaleOf(right.type));
    const a = this.#converted(left, { kind: 'exact', scale: isProduct ? scaleOf(left.type) : common });
    const b = this.#converted(right, { kind: 'exact', scale: isProduct ? scaleOf(right.type) : common });
    const scale = isProduct ? scaleOf(left.type) + scaleOf(right.type) : common;
    const compute = {
      '+': (x: bigint, y: bigint) => x + y,
      '-': (x: bigint, y: bigint) => x - y,
      '*': (x: bigint, y: bigint) => x * y,
    }[operator];
    return binary({ kind: 'exact', scale }, at, a, b, compute);
  }

  #doubleArithmetic(operator: Arithmetic, left: Operand, right: Operand, at: number): Operand {
    const a = this.#converted(left, { kind: 'double' });
    const b = this.#converted(right, { kind: 'double' });
    const compute = {
      '+': (x: number, y: number) => x + y,
      '-': (x: number, y: number) => x - y,
      '*': (x: number, y: number) => x * y,
      '/': (x: number, y: number) => x / y,
    }[operator];
    return binary({ kind: 'double' }, at, a, b, compute);
  }

  #converted(operand: Operand, type: OperandType): Operand {
    const converted = convert(operand, type);
    if (converted === null)
      throw this.#refuse(operand.at, `${describeType(operand.type)} is not a ${describeType(type)}`);
    return converted;
  }

  #textFunction(
    name: string,
    inputs: readonly Operand[],
    at: number,
    compute: (...texts: string[]) => Cell,
    type: OperandType = { kind: 'text' },
  ): Operand {
    for (const input of inputs)
      if (input.type.kind !== 'null' && convert(input, { kind: 'text' }) === null)
        throw this.#refuse(input.at, `${name} works on text, not ${describeType(input.type)}`);
    const runs = inputs.map(({ run }) => run);
    return derived(type, at, inputs, (row) => {
      const texts: string[] = [];
      for (const run of runs) {
        const value = run(row);
        if (value === null) return null;
        texts.push(value as string);
      }
      return compute(...texts);
    });
  }

  #like(expression: Extract<Expression, { kind: 'like' }>): Operand {
    const { at, escapeWith, ignoresCase } = expression;
    const name = ignoresCase ? 'ILIKE' : 'LIKE';
    let known: { pattern: string; test: RegExp } | null = null;
    const like = (value: string, pattern: string) => {
      if (known?.pattern !== pattern) {
        const test = likeTest(ignoresCase ? changeCase(pattern, 'lower') : pattern, escapeWith);
        if (test === null) throw this.#refuse(at, `The pattern of ${name} ends with its escape character`);
        known = { pattern, test };
      }
      return known.test.test(ignoresCase ? changeCase(value, 'lower') : value);
    };
    const inputs = [this.operand(expression.operand), this.operand(expression.pattern)];
    const matches = this.#textFunction(name, inputs, at, like, { kind: 'boolean' });
    return expression.isNegated ? this.#not(matches) : matches;
  }

  #is(expression: Extract<Expression, { kind: 'is' }>): Operand {
    const { what, isNegated, at } = expression;
    const inner = this.operand(expression.operand);
    const { run } = what === 'null' ? inner : this.boolean(inner, `IS ${what.toUpperCase()}`);
    const wanted = { null: null, true: true, false: false }[what];
    return derived({ kind: 'boolean' }, at, [inner], (row) => (run(row) === wanted) !== isNegated);
  }

  #call(name: string, inputs: readonly Operand[], at: number): Operand {
    if (name === 'coalesce') return this.#coalesce(inputs, at);
    const compute = textFunctions.get(name);
    if (compute === undefined) {
      const known = [...textFunctions.keys(), 'coalesce'];
      throw this.#refuse(at, `There is no function ${name}()${suggestion(name, known)}; there are ${known.join(', ')}`);
    }
    if (inputs.length !== 1) throw this.#refuse(at, `${name}() takes one value`);
    return this.#textFunction(`${name}()`, inputs, at, compute.run, compute.type);
  }

  #coalesce(inputs: readonly Operand[], at: number): Operand {
    const [first, ...others] = inputs;
    if (first === undefined) throw this.#refuse(at, 'coalesce() takes at least one value');
    const { type } = others.reduce((met, next) => {
      const { type: common, a } = this.#meet(met, next, next.at);
      return met.bareText !== undefined && next.bareText !== undefined ? a : { ...without(a), type: common };
    }, first);
    const runs = inputs.map((input) => this.#converted(input, type).run);
    return derived(type, at, inputs, (row) => {
      for (const run of runs) {
        const value = run(row);
        if (value !== null) return value;
      }
      return null;
    });
  }
}

/** The operand, no longer a bare text. */
function without({ bareText: _, ...operand }: Operand): Operand {
  return operand;
}
