import type { PartitionDefinition } from '#catalog/iceberg/metadata/bind-partition.ts';
import type { Transform } from '#catalog/iceberg/metadata/transforms.ts';
import { nearestName } from '#catalog/services/nearest-name.ts';

const plain = ['year', 'month', 'day', 'hour', 'identity'] as const;
const counted = ['bucket', 'truncate'] as const;
const names: readonly string[] = [...plain, ...counted];

/**
 * One field of a partition as a definition has it: `month(released)`, `bucket(16, id)`, `truncate(4, name)`, or a column's
 * name, names of structs before it joined with '.'. What is wrong with it as a sentence where it is none of these.
 */
export function parsePartition(text: string): PartitionDefinition | { problem: string } {
  const call = /^\s*([^()\s]+)\s*\(\s*(.*?)\s*\)\s*$/s.exec(text);
  if (!call) {
    const column = text.trim();
    if (column === '' || /[()]/.test(column)) return { problem: `"${text}" is not a column or a transform of one` };
    return { text, column, transform: { kind: 'identity' } };
  }
  const [, name = '', inside = ''] = call;
  const comma = inside.indexOf(',');
  const kind = name.toLowerCase();
  const count = counted.find((candidate) => candidate === kind);
  if (count) {
    const number = comma < 0 ? '' : inside.slice(0, comma).trim();
    const column = comma < 0 ? '' : inside.slice(comma + 1).trim();
    if (!/^[1-9]\d{0,8}$/.test(number) || column === '') {
      return { problem: `"${text}" needs a number and a column, as in ${count}(${count === 'bucket' ? 16 : 4}, id)` };
    }
    const transform: Transform =
      count === 'bucket' ? { kind: count, buckets: Number(number) } : { kind: count, width: Number(number) };
    return { text, column, transform };
  }
  const simple = plain.find((candidate) => candidate === kind);
  if (simple) {
    if (inside === '' || comma >= 0) return { problem: `"${text}" needs one column, as in ${simple}(released)` };
    return { text, column: inside, transform: { kind: simple } };
  }
  const nearest = nearestName(name, names);
  const hint = nearest === null ? `Known are ${names.join(', ')}.` : `Did you mean ${nearest}?`;
  return { problem: `"${text}" has an unknown transform ${name}. ${hint}` };
}

/** The fields of a partition that `parsePartition` finds nothing wrong with. */
export function partitionOf(texts: readonly string[]): PartitionDefinition[] {
  return texts.flatMap((text) => {
    const parsed = parsePartition(text);
    return 'problem' in parsed ? [] : [parsed];
  });
}
