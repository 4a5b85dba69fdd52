export interface Lag {
  /** Age of the newest change that is held, 0 if none is missing; null before anything is held. */
  seconds: number | null;
  /** History that is not held yet; null where the source does not answer or nothing is held yet. */
  bytes: number | null;
}

/** Source name → how far it is held; null where nothing is yet. */
export type Reached = Readonly<Record<string, { position: string | null; timeMs: number | null }>>;

export interface SourceHead {
  head: string;
  distance(from: string, to: string): number;
}

/** How far behind the heads, over all its sources: 0 and 0 once everything up to each head is held. */
export function measureLag(reached: Reached, heads: ReadonlyMap<string, SourceHead>, now: Date): Lag {
  let bytes: number | null = 0;
  let seconds: number | null = 0;
  for (const [name, { position, timeMs }] of Object.entries(reached)) {
    const source = heads.get(name);
    const behind = source === undefined || position === null ? null : source.distance(position, source.head);
    if (behind === 0) continue;
    bytes = bytes === null || behind === null ? null : bytes + behind;
    const age = timeMs === null ? null : Math.max(0, (now.getTime() - timeMs) / 1000);
    seconds = seconds === null || age === null ? null : Math.max(seconds, age);
  }
  return { seconds: seconds === null ? null : Math.round(seconds * 1000) / 1000, bytes };
}

/** The most of several; unknown where any is. */
export function worstLag(lags: readonly Lag[]): Lag {
  const most = (values: readonly (number | null)[]) =>
    values.some((value) => value === null) ? null : Math.max(...values.map(Number));
  return { seconds: most(lags.map((lag) => lag.seconds)), bytes: most(lags.map((lag) => lag.bytes)) };
}
