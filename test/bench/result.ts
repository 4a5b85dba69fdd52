import path from 'node:path';
import { system } from '#catalog/access/principal.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { type BenchProduct, childPeaks, percentile } from './bench-product.ts';

/**
 * A result as large as the table: first rows, all of it pageable, a page in its middle, the CSV. Begins once the worker is
 * quiet: after much load it compacts the table, on the same cores.
 */
export async function benchResult(product: BenchProduct): Promise<Record<string, string | number>> {
  const queries = new QueryService({
    state: product.state,
    catalog: product.catalog,
    resultsDir: path.join(product.home, 'results'),
  });
  try {
    const first = await queries.submit({ sql: 'SELECT 1', origin: 'api' }, system);
    await queries.wait(first.id, system, AbortSignal.timeout(60_000));
    await workerQuiet(product);
    const workerCpu = product.workerUse().cpuSeconds;
    const startedAt = performance.now();
    const { id } = await queries.submit({ sql: 'SELECT * FROM bench.film', origin: 'api' }, system);
    while ((await queries.rows(id, system, 0, 1)).length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    const firstMs = performance.now() - startedAt;
    let peakMiB = 0;
    const sampling = setInterval(() => {
      peakMiB = Math.max(peakMiB, ...childPeaks('query-child'));
    }, 50);
    const end = await queries.wait(id, system, AbortSignal.timeout(120_000));
    clearInterval(sampling);
    const allMs = performance.now() - startedAt;
    const pages: number[] = [];
    for (let page = 0; page < 20; page++) {
      const pageAt = performance.now();
      await queries.rows(id, system, Math.floor((Number(end.rowCount) * page) / 21), 500);
      pages.push(performance.now() - pageAt);
    }
    const csvAt = performance.now();
    await queries.resultFile(id, system, 'csv');
    return {
      rows: Number(end.rowCount),
      'query process peak MiB': peakMiB,
      'first rows ms': Math.round(firstMs),
      'pageable ms': Math.round(allMs),
      'page of 500 p95 ms': Math.round(percentile(pages, 0.95)),
      'CSV ms': Math.round(performance.now() - csvAt),
      'CPU-s of the worker meanwhile': Math.round((product.workerUse().cpuSeconds - workerCpu) * 100) / 100,
    };
  } finally {
    await queries.close();
  }
}

/** Resolves when the worker has used next to no CPU for a while; after a minute it is measured as it is. */
async function workerQuiet(product: BenchProduct): Promise<void> {
  for (let quietTurns = 0, turn = 0; quietTurns < 4 && turn < 120; turn++) {
    const before = product.workerUse().cpuSeconds;
    await new Promise((resolve) => setTimeout(resolve, 500));
    quietTurns = product.workerUse().cpuSeconds - before < 0.05 ? quietTurns + 1 : 0;
  }
}
