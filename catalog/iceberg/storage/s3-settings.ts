import { DailiesError } from '../../error.ts';

/** How S3 is reached; the credentials come from the usual chain of AWS (variables, profile, role of the machine). */
export interface S3Settings {
  /** Null for AWS's own. */
  endpoint: string | null;
  /** Null: what the AWS profile says. */
  region: string | null;
  /** Tries of one request, the first one included; the pause between them doubles from 100 ms (throttled: 1 s) to 20 s. */
  attempts: number;
  /** Longest wait for an answer, and for the next bytes of one. */
  timeoutMs: number;
}

/** Reads AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION and AWS_DEFAULT_REGION. Throws `environment_invalid`. */
export function readS3Settings(env: Readonly<Record<string, string | undefined>>): S3Settings {
  const name = env.AWS_ENDPOINT_URL_S3 ? 'AWS_ENDPOINT_URL_S3' : 'AWS_ENDPOINT_URL';
  const endpoint = env[name] || null;
  if (endpoint !== null && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')) {
    const message = `${name} must be an address that begins with http:// or https://.`;
    throw new DailiesError('environment_invalid', message, { details: { variable: name } });
  }
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || (endpoint === null ? null : 'us-east-1');
  return { endpoint, region, attempts: 8, timeoutMs: 30_000 };
}
