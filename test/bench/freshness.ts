import { DuckDBInstance } from '@duckdb/node-api';
import pg from 'pg';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { type BenchProduct, percentile } from './bench-product.ts';

/**
 * Source commit → visible to SQL: 1,000 changes a second, and ten times a second a marked change whose commit is timed
 * and that a query over the table is asked for until it shows. For so many seconds, or while `isAwaited` says so.
 */
export async function benchFreshness(
  product: BenchProduct,
  seconds: number,
  rows: number,
  isAwaited: () => boolean = () => false,
): Promise<Record<string, string | number>> {
  const load = new pg.Client({ connectionString: product.sourceUrl });
  await load.connect();
  await product.caughtUp();
  const committed = new Map<number, number>();
  const shown = new Map<number, number>();
  let isOver = false;
  const writing = (async () => {
    const startedAt = performance.now();
    for (let tick = 0; tick < seconds * 10 || isAwaited(); tick++) {
      await load.query(
        'UPDATE film SET votes = votes + 1 WHERE id IN (SELECT 2 + ($1 + i * 31) % $2 FROM generate_series(1, 100) i)',
        [tick * 100, rows - 2],
      );
      await load.query('UPDATE film SET seq = $1 WHERE id = 1', [tick + 1]);
      committed.set(tick + 1, performance.now());
      const behindMs = startedAt + (tick + 1) * 100 - performance.now();
      if (behindMs > 0) await new Promise((resolve) => setTimeout(resolve, behindMs));
    }
  })();
  const reading = (async () => {
    const duckdb = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
    let at: string | null = null;
    let last = 0;
    while (!isOver) {
      const location = await product.catalog.locate('bench.film');
      if (location === null || location === at) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        continue;
      }
      at = location;
      const scan = await planScan(location);
      const result = await duckdb.runAndReadAll(`SELECT seq FROM (${scan.sql}) WHERE id = 1`);
      const seq = Number(result.getRows()[0]?.[0] ?? 0);
      const now = performance.now();
      for (let marked = last + 1; marked <= seq; marked++) shown.set(marked, now);
      last = Math.max(last, seq);
    }
  })();
  await writing;
  await product.caughtUp();
  await new Promise((resolve) => setTimeout(resolve, 500));
  isOver = true;
  await reading;
  await load.end();
  const delays = [...committed].flatMap(([seq, time]) =>
    shown.has(seq) ? [Math.max(0, (shown.get(seq) ?? 0) - time)] : [],
  );
  if (delays.length !== committed.size)
    throw new Error(`${committed.size - delays.length} of ${committed.size} changes never showed`);
  const { peakMiB, peakAnonymousMiB } = product.workerUse();
  return {
    'events/s': 1_010,
    'p50 ms': Math.round(percentile(delays, 0.5)),
    'p95 ms': Math.round(percentile(delays, 0.95)),
    'p99 ms': Math.round(percentile(delays, 0.99)),
    'worker peak MiB': peakMiB,
    'without mapped files MiB': peakAnonymousMiB,
  };
}
