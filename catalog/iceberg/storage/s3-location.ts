import { DailiesError } from '../../error.ts';

/** An object of S3: its key as it stands, nothing escaped, as locations in tables have it. */
export interface S3Place {
  bucket: string;
  key: string;
}

/** Hadoop's tools write `s3a` and `s3n` for the same storage. */
const scheme = /^s3[an]?:\/\//;

export function isS3(location: string): boolean {
  return scheme.test(location);
}

/** `s3://bucket/key` in its parts; the key is empty for a bucket alone. Throws `invalid` where there is no bucket. */
export function s3Place(location: string): S3Place {
  const [bucket = '', ...key] = location.replace(scheme, '').split('/');
  if (!isS3(location) || bucket === '') {
    throw new DailiesError('invalid', `"${location}" is no location in S3: it must be s3://bucket/prefix.`);
  }
  return { bucket, key: key.join('/') };
}
