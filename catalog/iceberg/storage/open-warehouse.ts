import fs from 'node:fs/promises';
import path from 'node:path';
import type { Environment } from '../../environment.ts';
import { openS3 } from './open-storage.ts';
import { isS3 } from './s3-location.ts';

const defaultCacheBytes = 10e9;

/** Lets this process reach the files of the warehouse until closed. */
export async function openWarehouse(
  environment: Pick<Environment, 'home' | 'warehouse' | 'catalog' | 's3' | 'cacheBytes'>,
): Promise<{ close(): void }> {
  const { home, warehouse, catalog, s3, cacheBytes } = environment;
  // Another catalog says by itself where each table is.
  if (!isS3(warehouse) && catalog === null) return { close: () => {} };
  const cacheFolder = path.join(home, 'cache');
  await fs.mkdir(cacheFolder, { recursive: true });
  return await openS3({ settings: s3, cacheFolder, cacheBytes: cacheBytes ?? (await fittingBytes(cacheFolder)) });
}

/** At most half of what the disk has free, so that the cache is never what fills it. */
async function fittingBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await fs.statfs(folder);
  return Math.min(defaultCacheBytes, (bavail * bsize) / 2);
}
