/** A parsed expression, before it is known what its fields are. `at` is an offset into the text. */
export type Expression = { at: number } & (
  | { kind: 'literal'; literal: Literal }
  | { kind: 'field'; path: readonly string[] }
  | { kind: 'not'; operand: Expression }
  | { kind: 'negate'; operand: Expression }
  | { kind: 'logic'; operator: 'and' | 'or'; left: Expression; right: Expression }
  | { kind: 'compare'; operator: Comparison; left: Expression; right: Expression }
  | { kind: 'arithmetic'; operator: Arithmetic; left: Expression; right: Expression }
  | { kind: 'concat'; left: Expression; right: Expression }
  | { kind: 'in'; isNegated: boolean; operand: Expression; items: readonly Expression[] }
  | { kind: 'between'; isNegated: boolean; operand: Expression; low: Expression; high: Expression }
  | {
      kind: 'like';
      isNegated: boolean;
      ignoresCase: boolean;
      operand: Expression;
      pattern: Expression;
      escapeWith: string | null;
    }
  | { kind: 'is'; isNegated: boolean; operand: Expression; what: 'null' | 'true' | 'false' }
  | { kind: 'call'; name: string; inputs: readonly Expression[] }
);

export type Literal =
  | { kind: 'null' }
  | { kind: 'boolean'; value: boolean }
  /** As written: `12`, `12.50`, `1e6`. */
  | { kind: 'number'; text: string }
  | { kind: 'text'; value: string }
  | { kind: 'date' | 'timestamp' | 'timestamptz'; text: string };

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>=';
export type Arithmetic = '+' | '-' | '*' | '/';
