// Freshness of one table at 1,000 changes a second while the first snapshot of another table of the same source and pipeline
// is under way. Usage: node test/bench/freshness-beside.ts [--rows 10000000] [--beside 100000]
import os from 'node:os';
import { parseArgs } from 'node:util';
import { fillTable, startBenchProduct } from './bench-product.ts';
import { benchFreshness } from './freshness.ts';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '10000000' }, beside: { type: 'string', default: '100000' } },
});
const rows = Number(values.rows);
const beside = Number(values.beside);

const product = await startBenchProduct();
const landed = async (name: string) => (await product.state.dataTable.findUnique({ where: { name } })) !== null;
try {
  await fillTable(product.source, 'film', beside);
  await fillTable(product.source, 'screening', rows);
  await product.source.query('ANALYZE');
  await product.startWorker();
  // The smaller table is read first.
  while (!(await landed('bench.film'))) await new Promise((resolve) => setTimeout(resolve, 20));
  const startedAt = performance.now();
  if (await landed('bench.screening')) throw new Error('the snapshot was over before anything was measured');
  let isUnderWay = true;
  const watching = (async () => {
    while (!(await landed('bench.screening'))) await new Promise((resolve) => setTimeout(resolve, 100));
    isUnderWay = false;
    return (performance.now() - startedAt) / 1000;
  })();
  const figures = await benchFreshness(product, 1, beside, () => isUnderWay);
  const seconds = await watching;
  const { cpuSeconds } = product.workerUse();
  console.log(
    JSON.stringify({
      'rows of the table under snapshot': rows,
      'its rows/s': Math.round(rows / seconds),
      'worker CPU-s': Math.round(cpuSeconds),
      'seconds measured': Math.round(seconds),
      ...figures,
      load: os.loadavg()[0],
    }),
  );
} finally {
  await product.close();
}
process.exit(0);
