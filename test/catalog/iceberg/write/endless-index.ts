// Writes an index without end until it is killed: every entry of a batch tells the batch's number, as the stand does.
// Usage: node endless-index.ts FOLDER KEYS
import { KeyIndex } from '#catalog/iceberg/write/key-index.ts';

const [folder = '', keys = ''] = process.argv.slice(2);
const index = KeyIndex.open(folder);
for (let batch = 1; ; batch++) {
  const places = Array.from({ length: Number(keys) }, (_, key) => [
    `key ${key}`,
    { location: `file:///data/${batch}.parquet`, position: batch },
  ]);
  await index.apply(new Map(places as []), { snapshotId: BigInt(batch), shape: 'key' }, [
    `file:///data/${batch - 1}.parquet`,
  ]);
  index.markProven();
  process.send?.(batch);
}
