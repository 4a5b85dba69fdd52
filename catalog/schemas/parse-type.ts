import { DailiesError } from '../error.ts';
import type { Field, FieldType } from './schema.ts';

/** Names of the types without parameters: Iceberg's, and SQL's for the same. */
const plain: Readonly<Record<string, FieldType>> = {
  boolean: { kind: 'boolean' },
  bool: { kind: 'boolean' },
  int: { kind: 'int' },
  integer: { kind: 'int' },
  smallint: { kind: 'int' },
  long: { kind: 'long' },
  bigint: { kind: 'long' },
  float: { kind: 'float' },
  real: { kind: 'float' },
  double: { kind: 'double' },
  'double precision': { kind: 'double' },
  date: { kind: 'date' },
  time: { kind: 'time' },
  timestamp: { kind: 'timestamp' },
  timestamptz: { kind: 'timestamptz' },
  string: { kind: 'string' },
  text: { kind: 'string' },
  varchar: { kind: 'string' },
  uuid: { kind: 'uuid' },
  binary: { kind: 'binary' },
  bytea: { kind: 'binary' },
};

/**
 * The type that a text names, as `typeName` writes it or as SQL does: `bigint`, `decimal(12, 2)`, `list<int>`, `int[]`,
 * `struct<name: text, born: date>`, `map<text, double>`. Case does not matter but in field names. Throws `invalid` with a
 * sentence that names what is not understood.
 */
export function parseType(text: string): FieldType {
  const reader = new TypeReader(text);
  const type = reader.type();
  reader.end();
  return type;
}

class TypeReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  type(): FieldType {
    let type = this.#single();
    while (this.#take(/\s*\[\s*\]/y)) type = { kind: 'list', element: type };
    return type;
  }

  end(): void {
    this.#take(/\s+/y);
    if (this.#at < this.#text.length) throw this.#wrong();
  }

  #single(): FieldType {
    const word = this.#take(/\s*(double\s+precision|[a-z]\w*)/iy)
      ?.trim()
      .toLowerCase()
      .replace(/\s+/g, ' ');
    switch (word) {
      case 'decimal':
      case 'numeric':
        return this.#decimal();
      case 'list': {
        this.#need('<');
        const element = this.type();
        this.#need('>');
        return { kind: 'list', element };
      }
      case 'map': {
        this.#need('<');
        const key = this.type();
        this.#need(',');
        const value = this.type();
        this.#need('>');
        return { kind: 'map', key, value };
      }
      case 'struct':
        return { kind: 'struct', fields: this.#fields() };
    }
    const type = word === undefined ? undefined : plain[word];
    if (type === undefined) throw this.#wrong();
    return type;
  }

  #decimal(): FieldType {
    this.#need('(');
    const precision = Number(this.#take(/\s*\d{1,2}/y));
    const scale = this.#take(/\s*,/y) === null ? 0 : Number(this.#take(/\s*\d{1,2}/y) ?? Number.NaN);
    this.#need(')');
    if (!(precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision)) {
      throw new DailiesError(
        'invalid',
        `${this.#text}: a decimal has 1 to 38 digits, and of them 0 to all behind the point.`,
      );
    }
    return { kind: 'decimal', precision, scale };
  }

  #fields(): Field[] {
    const fields: Field[] = [];
    this.#need('<');
    do {
      const name = this.#take(/\s*[^\s:<>,()[\]]+/y)?.trim();
      if (name === undefined) throw this.#wrong();
      if (fields.some((field) => field.name === name)) {
        throw new DailiesError('invalid', `${this.#text}: the field ${name} stands there twice.`);
      }
      this.#need(':');
      fields.push({ name, type: this.type(), required: false });
    } while (this.#take(/\s*,/y) !== null);
    this.#need('>');
    return fields;
  }

  #need(sign: string): void {
    this.#take(/\s+/y);
    if (this.#text[this.#at] !== sign) throw this.#wrong();
    this.#at += 1;
  }

  /** What stands next, if it matches; null, and nothing is read, if not. */
  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return null;
    this.#at += found.length;
    return found;
  }

  #wrong(): DailiesError {
    const rest = this.#text.slice(this.#at).trim();
    const place = rest === '' ? 'ends too early' : `is not understood at "${rest.slice(0, 40)}"`;
    return new DailiesError(
      'invalid',
      `The type "${this.#text}" ${place}. Types are boolean, int, bigint, float, double, decimal(p, s), date, time, timestamp, timestamptz, text, uuid, binary, list<…>, map<…, …> and struct<name: …>.`,
    );
  }
}
