import { expect, test } from 'vitest';
import { fillTable, startBenchProduct } from '#test/bench/bench-product.ts';

const rows = 1_000_000;
const patient = { timeout: 400_000, interval: 100 };

test('a worker that copies a table of a million rows stays within its memory, and its first change finds the key index', async () => {
  const product = await startBenchProduct();
  try {
    await fillTable(product.source, 'film', rows);
    await product.startWorker();
    const landed = () => product.state.dataTable.findUnique({ where: { name: 'bench.film' } });
    await expect.poll(async () => (await landed())?.rows ?? null, patient).toBe(BigInt(rows));
    await product.source.query('UPDATE film SET votes = 0 WHERE id IN (1, 500000, 1000000)');
    await product.source.query('DELETE FROM film WHERE id = 2');
    await product.caughtUp();
    expect((await landed())?.rows).toBe(BigInt(rows - 1));
    const { peakAnonymousMiB } = product.workerUse();
    console.info(`the worker's peak: ${peakAnonymousMiB} MiB`);
    expect(peakAnonymousMiB).toBeGreaterThan(50);
    // What it holds is the same for a table of any size: 500 MiB at most where it was measured.
    expect(peakAnonymousMiB).toBeLessThan(640);
  } finally {
    await product.close();
  }
}, 600_000);
