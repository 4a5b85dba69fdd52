import { DailiesError } from '#catalog/error.ts';
import type { SourcePosition } from '../../event.ts';

/** Offset of the next record by partition number, by topic. */
export type Offsets = Map<string, Map<number, number>>;

/** `pf.public.movie:0=12,1=7 pf.public.talent:0=3`, topics and partitions in order. */
export function formatOffsets(offsets: Offsets): SourcePosition {
  return [...offsets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topic, partitions]) => {
      const places = [...partitions].sort(([a], [b]) => a - b).map(([partition, offset]) => `${partition}=${offset}`);
      return `${topic}:${places.join(',')}`;
    })
    .join(' ');
}

/** Throws `source_protocol` for a text that `formatOffsets` does not write. */
export function parseOffsets(position: SourcePosition): Offsets {
  const offsets: Offsets = new Map();
  for (const part of position.split(' ').filter(Boolean)) {
    const [topic, places] = part.split(':');
    const partitions = new Map<number, number>();
    for (const place of places?.split(',') ?? []) {
      const match = /^(\d{1,9})=(\d{1,16})$/.exec(place);
      if (match) partitions.set(Number(match[1]), Number(match[2]));
    }
    if (!topic || partitions.size === 0)
      throw new DailiesError(
        'source_protocol',
        'A position of a source of kind kafka is not written as offsets of topics.',
      );
    offsets.set(topic, partitions);
  }
  return offsets;
}

export function offsetOf(offsets: Offsets, topic: string, partition: number): number | null {
  return offsets.get(topic)?.get(partition) ?? null;
}

export function setOffset(offsets: Offsets, topic: string, partition: number, offset: number): void {
  const partitions = offsets.get(topic) ?? new Map<number, number>();
  partitions.set(partition, offset);
  offsets.set(topic, partitions);
}

/** How many records lie between, of topics that `to` has; each counts as `bytesEach` says of its topic. */
export function distanceBetween(from: Offsets, to: Offsets, bytesEach: ReadonlyMap<string, number>): number {
  let distance = 0;
  for (const [topic, partitions] of to) {
    for (const [partition, offset] of partitions) {
      const records = Math.max(0, offset - (offsetOf(from, topic, partition) ?? 0));
      distance += Math.ceil(records * (bytesEach.get(topic) ?? 1));
    }
  }
  return distance;
}
