// Measures the product on this machine and prints one JSON document. Usage: npm run bench [-- --rows 1000000 --events 300000]
import os from 'node:os';
import { parseArgs } from 'node:util';
import { startBenchProduct } from './bench-product.ts';
import { benchCdc } from './cdc.ts';
import { benchFreshness } from './freshness.ts';
import { benchResult } from './result.ts';
import { benchSnapshot } from './snapshot.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    events: { type: 'string', default: '300000' },
    seconds: { type: 'string', default: '30' },
  },
});
const rows = Number(values.rows);
const say = (name: string, figures: object) => console.log(JSON.stringify({ [name]: figures }, null, 2));

say('machine', {
  cpus: os.cpus().length,
  model: os.cpus()[0]?.model,
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  node: process.version,
});

const small = await startBenchProduct();
try {
  say('snapshot, a tenth of the rows', await benchSnapshot(small, rows / 10));
} finally {
  await small.close();
}

const product = await startBenchProduct();
try {
  say('snapshot', await benchSnapshot(product, rows));
  say('cdc', await benchCdc(product, Number(values.events), rows));
  say('freshness', await benchFreshness(product, Number(values.seconds), rows));
  say('result', await benchResult(product));
} finally {
  await product.close();
}
process.exit(0);
