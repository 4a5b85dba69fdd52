/** What the state database knows of how far a sink and its sources are. */
export interface SinkProgress {
  /** {<source>: {offset, position, timeMicros}} as the worker writes it. */
  position: unknown;
  committedAt: Date | null;
}

export interface SourceProgress {
  position: string | null;
  coveredAt: Date | null;
}

/**
 * The instant before which everything committed at the sources is in the table; null before its first commit. A table
 * that holds all that its source's log holds is as fresh as the source's last sign of life, however long nothing changed.
 */
export function freshAsOf(sink: SinkProgress, sources: ReadonlyMap<string, SourceProgress>): Date | null {
  let oldest: number | null = null;
  for (const [name, reached] of Object.entries(readPosition(sink.position))) {
    const source = sources.get(name);
    const covered = source?.position === reached.position ? source.coveredAt?.getTime() : undefined;
    const instant = Math.max(reached.timeMs, covered ?? 0);
    oldest = oldest === null ? instant : Math.min(oldest, instant);
  }
  return oldest === null ? sink.committedAt : new Date(oldest);
}

/** Source name → source position and its commit time, milliseconds since 1970 UTC. */
export function readPosition(json: unknown): Record<string, { position: string; timeMs: number }> {
  if (json === null || typeof json !== 'object') return {};
  const entries = Object.entries(json as Record<string, { position?: unknown; timeMicros?: unknown }>);
  return Object.fromEntries(
    entries.flatMap(([name, value]) => {
      if (typeof value?.position !== 'string') return [];
      const timeMicros = Number(value.timeMicros ?? 0);
      return [[name, { position: value.position, timeMs: Number.isFinite(timeMicros) ? timeMicros / 1000 : 0 }]];
    }),
  );
}
