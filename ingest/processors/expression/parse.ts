import { refuse } from './refusal.ts';
import type { Arithmetic, Comparison, Expression } from './syntax.ts';
import { type Token, tokenize } from './tokenize.ts';

/**
 * Parses an expression. From loose to tight: OR, AND, NOT, comparisons (= <> != < <= > >= IS IN BETWEEN LIKE ILIKE),
 * `||`, + -, * /, sign. Throws `expression_invalid` with the place.
 */
export function parseExpression(text: string): Expression {
  return new Parser(text).whole();
}

/**
 * Splits a dotted path such as `edge.director.name`; names that hold a dot stand in double quotes. Throws
 * `expression_invalid`.
 */
export function parsePath(text: string): string[] {
  if (text.includes('"')) return new Parser(text).wholePath();
  const path = text.split('.').map((name) => name.trim());
  if (path.includes('')) throw refuse(text, 0, `"${text}" is not the path of a field`);
  return path;
}

const keywords = new Set([
  'and',
  'or',
  'not',
  'in',
  'between',
  'like',
  'ilike',
  'is',
  'null',
  'true',
  'false',
  'escape',
]);
const comparisons = new Set(['=', '<>', '!=', '<', '<=', '>', '>=']);
const maxDepth = 200;

class Parser {
  readonly #text: string;
  readonly #tokens: Token[];
  #next = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokenize(text);
  }

  whole(): Expression {
    const expression = this.#or();
    this.#expectEnd();
    return expression;
  }

  wholePath(): string[] {
    const path = this.#path();
    this.#expectEnd();
    return path;
  }

  #or(): Expression {
    if (++this.#depth > maxDepth) throw refuse(this.#text, this.#peek().at, 'Too deeply nested');
    let left = this.#and();
    for (let token = this.#peek(); this.#takeKeyword('or'); token = this.#peek())
      left = { kind: 'logic', operator: 'or', left, right: this.#and(), at: token.at };
    this.#depth--;
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    for (let token = this.#peek(); this.#takeKeyword('and'); token = this.#peek())
      left = { kind: 'logic', operator: 'and', left, right: this.#not(), at: token.at };
    return left;
  }

  #not(): Expression {
    const at = this.#peek().at;
    if (!this.#takeKeyword('not')) return this.#comparison();
    if (++this.#depth > maxDepth) throw refuse(this.#text, at, 'Too deeply nested');
    const operand = this.#not();
    this.#depth--;
    return { kind: 'not', operand, at };
  }

  #comparison(): Expression {
    let left = this.#concat();
    const token = this.#peek();
    if (token.kind === 'symbol' && comparisons.has(token.value)) {
      this.#next++;
      const operator = (token.value === '!=' ? '<>' : token.value) as Comparison;
      left = { kind: 'compare', operator, left, right: this.#concat(), at: token.at };
    } else {
      left = this.#predicate(left, token.at) ?? left;
    }
    for (let at = this.#peek().at; this.#isKeyword(this.#peek(), 'is'); at = this.#peek().at)
      left = this.#predicate(left, at) ?? left;
    return left;
  }

  /** IS, and IN, BETWEEN, LIKE, ILIKE with or without NOT; null if none follows. */
  #predicate(operand: Expression, at: number): Expression | null {
    if (this.#takeKeyword('is')) {
      const isNegated = this.#takeKeyword('not');
      for (const what of ['null', 'true', 'false'] as const)
        if (this.#takeKeyword(what)) return { kind: 'is', isNegated, operand, what, at };
      throw this.#unexpected('NULL, TRUE or FALSE');
    }
    const isNegated = this.#isKeyword(this.#peek(), 'not');
    if (isNegated) this.#next++;
    if (this.#takeKeyword('in')) {
      this.#expectSymbol('(');
      return { kind: 'in', isNegated, operand, items: this.#list(), at };
    }
    if (this.#takeKeyword('between')) {
      const low = this.#concat();
      if (!this.#takeKeyword('and')) throw this.#unexpected('AND');
      return { kind: 'between', isNegated, operand, low, high: this.#concat(), at };
    }
    for (const like of ['like', 'ilike'] as const) {
      if (!this.#takeKeyword(like)) continue;
      const pattern = this.#concat();
      const escapeWith = this.#takeKeyword('escape') ? this.#escapeCharacter() : null;
      return { kind: 'like', isNegated, ignoresCase: like === 'ilike', operand, pattern, escapeWith, at };
    }
    if (isNegated) throw this.#unexpected('IN, BETWEEN, LIKE or ILIKE');
    return null;
  }

  #escapeCharacter(): string {
    const token = this.#peek();
    if (token.kind !== 'text' || [...token.value].length !== 1) throw this.#unexpected('one character in quotes');
    this.#next++;
    return token.value;
  }

  #concat(): Expression {
    let left = this.#sum();
    for (let token = this.#peek(); this.#takeSymbol('||'); token = this.#peek())
      left = { kind: 'concat', left, right: this.#sum(), at: token.at };
    return left;
  }

  #sum(): Expression {
    return this.#arithmetic(['+', '-'], () => this.#arithmetic(['*', '/'], () => this.#sign()));
  }

  #arithmetic(operators: readonly Arithmetic[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const token = this.#peek();
      const operator = operators.find((candidate) => this.#takeSymbol(candidate));
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator, left, right: operand(), at: token.at };
    }
  }

  #sign(): Expression {
    const at = this.#peek().at;
    let isNegative = false;
    while (this.#peek().kind === 'symbol' && ['-', '+'].includes(this.#peek().value)) {
      if (this.#take().value === '-') isNegative = !isNegative;
    }
    const operand = this.#primary();
    return isNegative ? { kind: 'negate', operand, at } : operand;
  }

  #primary(): Expression {
    const token = this.#peek();
    const { at } = token;
    if (this.#takeSymbol('(')) {
      const inner = this.#or();
      this.#expectSymbol(')');
      return inner;
    }
    if (token.kind === 'number') {
      this.#next++;
      return { kind: 'literal', literal: { kind: 'number', text: token.value }, at };
    }
    if (token.kind === 'text') {
      this.#next++;
      return { kind: 'literal', literal: { kind: 'text', value: token.value }, at };
    }
    if (this.#takeKeyword('null')) return { kind: 'literal', literal: { kind: 'null' }, at };
    if (this.#takeKeyword('true')) return { kind: 'literal', literal: { kind: 'boolean', value: true }, at };
    if (this.#takeKeyword('false')) return { kind: 'literal', literal: { kind: 'boolean', value: false }, at };
    if (token.kind === 'word' && !keywords.has(token.value.toLowerCase())) {
      const following = this.#tokens[this.#next + 1];
      const lower = token.value.toLowerCase();
      if (following?.kind === 'text' && (lower === 'date' || lower === 'timestamp' || lower === 'timestamptz')) {
        this.#next += 2;
        return { kind: 'literal', literal: { kind: lower, text: following.value }, at };
      }
      if (following?.kind === 'symbol' && following.value === '(') {
        this.#next += 2;
        return { kind: 'call', name: lower, inputs: this.#list(), at };
      }
    }
    return { kind: 'field', path: this.#path(), at };
  }

  #list(): Expression[] {
    const items = [this.#or()];
    while (this.#takeSymbol(',')) items.push(this.#or());
    this.#expectSymbol(')');
    return items;
  }

  #path(): string[] {
    const path = [this.#name()];
    while (this.#takeSymbol('.')) path.push(this.#name());
    return path;
  }

  #name(): string {
    const token = this.#peek();
    const isName = token.kind === 'name' || (token.kind === 'word' && !keywords.has(token.value.toLowerCase()));
    if (!isName) throw this.#unexpected('a field or a value');
    this.#next++;
    return token.value;
  }

  #peek(): Token {
    const token = this.#tokens[this.#next];
    if (token === undefined) throw refuse(this.#text, this.#text.length, 'The expression ends too early');
    return token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next++;
    return token;
  }

  #isKeyword(token: Token, keyword: string): boolean {
    return token.kind === 'word' && token.value.toLowerCase() === keyword;
  }

  #takeKeyword(keyword: string): boolean {
    if (!this.#isKeyword(this.#peek(), keyword)) return false;
    this.#next++;
    return true;
  }

  #takeSymbol(symbol: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'symbol' || token.value !== symbol) return false;
    this.#next++;
    return true;
  }

  #expectSymbol(symbol: string): void {
    if (!this.#takeSymbol(symbol)) throw this.#unexpected(symbol);
  }

  #expectEnd(): void {
    if (this.#peek().kind !== 'end') throw this.#unexpected('the end');
  }

  #unexpected(wanted: string) {
    const token = this.#peek();
    const found =
      token.kind === 'end' ? 'the expression ends' : `there is ${this.#text.slice(token.at, this.#endOf(token))}`;
    return refuse(this.#text, token.at, `Expected ${wanted}, but ${found}`);
  }

  #endOf(token: Token): number {
    return this.#tokens[this.#tokens.indexOf(token) + 1]?.at ?? this.#text.length;
  }
}
