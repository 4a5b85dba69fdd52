import type { FieldType, Row, Value } from '#catalog/schemas/schema.ts';
import { canonicalValue } from '../canonical.ts';
import type { Condition } from '../engine-reader.ts';
import type { TableState } from './history.ts';
import { Random } from './random.ts';

export interface Probe {
  where: Condition[];
  /** The rows for which it holds. */
  rows: Row[];
}

/** Types whose values all engines can be asked for by an SQL literal. */
const kinds: readonly FieldType['kind'][] = [
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'decimal',
  'date',
  'timestamp',
  'timestamptz',
  'string',
  'binary',
];

/**
 * Conditions that leave out files by partition, bounds and counts of NULLs: wrong ones would lose rows. One value each of
 * some columns, and NULL of one.
 */
export function probesOf(name: string, { schema, rows }: TableState): Probe[] {
  const random = new Random([...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7));
  const columns = schema.fields
    .map((field, index) => ({ field, index, order: random.fraction() }))
    .filter(({ field }) => kinds.includes(field.type.kind))
    .sort((a, b) => a.order - b.order);
  const probes: Probe[] = [];
  for (const { field, index } of columns.slice(0, 3)) {
    const values = rows.map((row) => row[index] as Value).filter((value) => isPlain(value));
    if (values.length === 0) continue;
    const value = random.pick(values);
    const wanted = canonicalValue(field.type, value);
    probes.push({
      where: [{ column: field.name, type: field.type, text: literalText(field.type, value) }],
      rows: rows.filter((row) => canonicalValue(field.type, row[index] as Value) === wanted),
    });
  }
  const optional = columns.find(({ field }) => !field.required);
  if (optional) {
    probes.push({
      where: [{ column: optional.field.name, type: optional.field.type, text: null }],
      rows: rows.filter((row) => row[optional.index] === null),
    });
  }
  return probes;
}

/** No NULL, no number that equals another one of other bits, no text that SQL needs escapes for. */
function isPlain(value: Value): boolean {
  if (value === null || value === 0) return false;
  if (typeof value === 'number') return Number.isFinite(value);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return typeof value !== 'string' || !/[\u0000-\u001f\\]/.test(value);
}

function literalText(type: FieldType, value: Value): string {
  switch (type.kind) {
    case 'decimal': {
      const digits = String(value)
        .replace('-', '')
        .padStart(type.scale + 1, '0');
      const at = digits.length - type.scale;
      return `${(value as bigint) < 0n ? '-' : ''}${digits.slice(0, at)}${type.scale > 0 ? '.' : ''}${digits.slice(at)}`;
    }
    case 'date':
      return new Date((value as number) * 86_400_000).toISOString().slice(0, 10);
    case 'timestamp':
    case 'timestamptz': {
      const micros = value as bigint;
      const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
      const text = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19).replace('T', ' ');
      return `${text}.${String(fraction).padStart(6, '0')}${type.kind === 'timestamptz' ? '+00:00' : ''}`;
    }
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex');
    default:
      return String(value);
  }
}
