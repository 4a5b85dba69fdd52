import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { ReadCache } from '#catalog/iceberg/storage/read-cache.ts';
import { Random } from '#ingest/demo/random.ts';

export type ChildRequest = { kind: 'work'; rounds: number } | { kind: 'hold'; index: number };

// A process of its own over a shared cache: folder, size, seed. Ends with an error if a file that it holds is not right.
const [, , folder = '', maxBytes = '0', seed = '0'] = process.argv;
const random = new Random(Number(seed));
const cache = new ReadCache({
  folder,
  maxBytes: Number(maxBytes),
  async fetch(location, path) {
    await writeFile(path, location.padEnd(1_000, '.'), { flag: 'wx' });
    return 1_000;
  },
});

const at = (index: number) => `s3://studio/t/${index}.parquet`;

async function round(): Promise<void> {
  const wanted = Array.from({ length: random.int(1, 8) }, () => at(random.int(0, 300)));
  using held = await cache.hold(wanted);
  for (const [index, path] of held.paths.entries()) {
    if (readFileSync(path, 'utf8') !== (wanted[index] ?? '').padEnd(1_000, '.'))
      throw new Error(`${path} is another file`);
  }
}

process.on('message', async (request: ChildRequest) => {
  if (request.kind === 'hold') await cache.hold([at(request.index)]);
  else for (let done = 0; done < request.rounds; done += 5) await Promise.all(Array.from({ length: 5 }, round));
  process.send?.('done');
});
process.send?.('ready');
