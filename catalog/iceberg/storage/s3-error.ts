import { DailiesError, type ErrorCode } from '../../error.ts';

/** What went wrong as S3 names it (`SlowDown`, `AccessDenied`), as the SDK does, or as the network does (`ECONNRESET`). */
export function s3ErrorName(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown';
  if ('code' in thrown && typeof thrown.code === 'string' && thrown.code !== '') return thrown.code;
  return thrown.name;
}

/** HTTP status of the answer; null where there was none. */
export function s3Status(thrown: unknown): number | null {
  if (!(thrown instanceof Error) || !('$metadata' in thrown)) return null;
  const metadata = thrown.$metadata;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return null;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : null;
}

const wrongCredentials = new Set([
  'InvalidAccessKeyId',
  'XAdminUserNotFound',
  'SignatureDoesNotMatch',
  'InvalidToken',
  'ExpiredToken',
  'ExpiredTokenException',
  'TokenRefreshRequired',
  'AuthFailure',
  'RequestExpired',
]);
const noCredentials = new Set(['CredentialsProviderError', 'TokenProviderError', 'ProviderError']);
const throttled = new Set(['SlowDown', 'Throttling', 'ThrottlingException', 'TooManyRequests', 'RequestLimitExceeded']);
const full = new Set(['XMinioStorageFull', 'QuotaExceeded', 'XMinioAdminBucketQuotaExceeded']);
const otherRegion = new Set([
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]);

/**
 * An error of S3 with the sentence for who has to mend it. Nothing of the request comes along: its headers hold
 * credentials. `endpoint` is null for AWS's own.
 */
export function s3Error(thrown: unknown, location: string, endpoint: string | null): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  const name = s3ErrorName(thrown);
  const status = s3Status(thrown);
  const server = endpoint === null ? 'S3' : `The S3 server ${withoutUser(endpoint)}`;
  const error = (code: ErrorCode, sentence: string) =>
    new DailiesError(code, sentence, {
      cause: new Error(status === null ? name : `${name}, HTTP ${status}`),
      details: { location, reason: name, ...(status === null ? {} : { status }) },
    });
  if (name === 'NoSuchBucket') {
    return error('storage_refused', `The bucket of ${location} does not exist: make it, or correct DAILIES_WAREHOUSE.`);
  }
  if (noCredentials.has(name)) {
    const message = `No AWS credentials were found for ${location}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role.`;
    return error('storage_refused', message);
  }
  if (wrongCredentials.has(name)) {
    const message = `${server} refuses the credentials for ${location} (${name}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.`;
    return error('storage_refused', message);
  }
  if (otherRegion.has(name) || status === 301) {
    return error('storage_refused', `The bucket of ${location} is in another region: set AWS_REGION to it.`);
  }
  if (/^Region is missing/.test(thrown instanceof Error ? thrown.message : '')) {
    return error('storage_refused', `No region is known for ${location}: set AWS_REGION.`);
  }
  if (status === 401 || status === 403) {
    const message = `${server} does not let these credentials reach ${location} (${name}): allow them to list the bucket and to get, put and delete its objects.`;
    return error('storage_refused', message);
  }
  // Other 404s are of the bucket, the upload or the user: a file is gone only where S3 says just that.
  if (name === 'NoSuchKey' || name === 'NotFound') return error('not_found', `The file ${location} is gone.`);
  if (full.has(name) || status === 507) {
    return error('disk_full', `The storage that holds ${location} is full (${name}). Free space and resume.`);
  }
  if (throttled.has(name) || status === 429 || (status === 503 && name === 'SlowDown')) {
    return error('storage_throttled', `${server} asks to slow down at ${location} (${name}).`);
  }
  if (status === null || status >= 500) {
    return error('storage_unreachable', `${server} cannot be reached, or does not answer, at ${location} (${name}).`);
  }
  return error('storage_refused', `${server} refuses a request for ${location} (${name}, HTTP ${status}).`);
}

/** Whether a write that failed so may have been applied all the same. */
export function isOutcomeUnknown(thrown: unknown): boolean {
  const status = s3Status(thrown);
  const name = s3ErrorName(thrown);
  if (noCredentials.has(name)) return false;
  // A repeat meets what the first try has done: the object is there (412, 409), the upload is complete (404).
  return status === null || status >= 500 || status === 412 || status === 409 || name === 'NoSuchUpload';
}

function withoutUser(endpoint: string): string {
  const url = URL.parse(endpoint);
  return url === null ? 'of AWS_ENDPOINT_URL' : `${url.protocol}//${url.host}`;
}
