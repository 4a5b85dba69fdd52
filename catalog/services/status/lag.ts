export interface Lag {
  seconds: number;
  bytes: number;
}

/** Source name → how far it is held; null where nothing is yet. */
export type Reached = Readonly<Record<string, { position: string | null; timeMs: number | null }>>;

export interface SourceHead {
  head: string;
  distance(from: string, to: string): number;
}

/**
 * How far behind the heads: bytes of history summed over the sources, and the age of the oldest change that is held where
 * any is missing. 0 and 0 once everything up to each head is held. null if any source did not tell its head.
 */
export function measureLag(reached: Reached, heads: ReadonlyMap<string, SourceHead>, now: Date): Lag | null {
  let bytes = 0;
  let seconds = 0;
  for (const [name, { position, timeMs }] of Object.entries(reached)) {
    const source = heads.get(name);
    if (source === undefined) return null;
    // Before the first snapshot is done nothing can be queried, and there is no position to measure from.
    if (position === null) return null;
    const behind = source.distance(position, source.head);
    if (behind === 0) continue;
    bytes += behind;
    seconds = Math.max(seconds, timeMs === null ? 0 : Math.max(0, (now.getTime() - timeMs) / 1000));
  }
  return { seconds: Math.round(seconds * 1000) / 1000, bytes };
}
