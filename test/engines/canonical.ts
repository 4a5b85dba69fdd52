import type { FieldType, Row, Schema, Value } from '#catalog/schemas/schema.ts';

/** What a value is in readers/canonical.py's form: texts that say exactly what is stored, lists of them, or null. */
export type CanonicalValue = null | string | readonly CanonicalValue[];

export function canonicalRow(schema: Schema, row: Row): CanonicalValue[] {
  return schema.fields.map((field, index) => canonicalValue(field.type, (row[index] ?? null) as Value));
}

/** Rows in an order of their own, each as one text. */
export function sortedTexts(rows: readonly (readonly CanonicalValue[])[]): string[] {
  return rows.map((row) => JSON.stringify(row)).sort();
}

export function canonicalValue(type: FieldType, value: Value): CanonicalValue {
  if (value === null) return null;
  switch (type.kind) {
    case 'struct':
      return type.fields.map((field, index) => canonicalValue(field.type, (value as readonly Value[])[index] ?? null));
    case 'list':
      return (value as readonly Value[]).map((item) => canonicalValue(type.element, item));
    case 'map':
      return (value as readonly (readonly [Value, Value])[])
        .map(([key, item]) => [canonicalValue(type.key, key), canonicalValue(type.value, item)])
        .sort(([a], [b]) => compareTexts(JSON.stringify(a), JSON.stringify(b)));
    case 'float':
    case 'double': {
      if (Number.isNaN(value)) return 'nan';
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleBE(value as number);
      return bytes.toString('hex');
    }
    case 'binary':
    case 'fixed':
      return Buffer.from(value as Uint8Array).toString('hex');
    default:
      return String(value);
  }
}

/** As Python compares texts: by code point. */
function compareTexts(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
