import { DailiesError } from '../../error.ts';
import { localStorage } from './local-storage.ts';
import { isS3 } from './s3-location.ts';
import type { S3Storage, S3StorageOptions } from './s3-storage.ts';
import type { Storage } from './storage.ts';

/** Locations carry no credentials and caches are shared, so a process has one S3 for all its tables. */
let s3: S3Storage | null = null;

/** The storage that holds a location. Throws `unsupported` for one in S3 where S3 is not open. */
export function storageOf(location: string): Storage {
  if (!isS3(location)) return localStorage;
  if (s3 === null) {
    const message = `The location "${location}" is in S3, which is not set up here: set DAILIES_WAREHOUSE to s3://bucket/prefix.`;
    throw new DailiesError('unsupported', message, { details: { location } });
  }
  return s3;
}

/** Lets this process reach locations in S3 until closed. The client is large: it is loaded only now. */
export async function openS3(options: S3StorageOptions): Promise<{ close(): void }> {
  const { S3Storage } = await import('./s3-storage.ts');
  if (s3 !== null) throw new DailiesError('internal', 'S3 is open already.');
  const own = new S3Storage(options);
  s3 = own;
  return {
    close: () => {
      if (s3 === own) s3 = null;
      own.close();
    },
  };
}
