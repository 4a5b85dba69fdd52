import { posix } from 'node:path';
import { filePath } from './location.ts';

/** Whether a location is inside a folder, both named in any of the forms that writers use. */
export function isBelow(folder: string, location: string): boolean {
  const root = plainLocation(folder);
  return root !== null && plainLocation(location)?.startsWith(`${root}/`) === true;
}

/**
 * A location in the one form in which locations are compared: a local path or `s3://bucket/key`. Null for one that steps
 * upwards, or that is neither.
 */
export function plainLocation(location: string): string | null {
  if (location.split('/').includes('..')) return null;
  if (/^s3[an]?:\/\//.test(location)) return location.replace(/^s3[an]?:/, 's3:').replace(/\/+$/, '');
  if (!/^(file:)?\//.test(location)) return null;
  return posix.normalize(filePath(location)).replace(/\/+$/, '');
}
