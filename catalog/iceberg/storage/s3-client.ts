import { S3Client } from '@aws-sdk/client-s3';
import { requestTimeouts, type S3Settings } from './s3-settings.ts';

/** The credentials come from the usual chain of AWS: variables, profile, role of the machine. */
export function openS3Client(settings: S3Settings): S3Client {
  const { endpoint, region, attempts } = settings;
  return new S3Client({
    ...(region === null ? {} : { region }),
    // Servers other than AWS's seldom have a host name for each bucket.
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: attempts,
    retryMode: 'standard',
    requestHandler: requestTimeouts(settings),
  });
}
