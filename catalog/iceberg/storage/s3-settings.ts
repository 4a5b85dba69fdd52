import { DailiesError } from '../../error.ts';

/** How S3 is reached; the credentials come from the usual chain of AWS (variables, profile, role of the machine). */
export interface S3Settings {
  /** Null for AWS's own. */
  endpoint: string | null;
  /** Null: what the AWS profile says. */
  region: string | null;
  /** The role that clients' temporary credentials are of, and where they are asked for; null: clients bring their own. */
  vending: { roleArn: string; endpoint: string | null } | null;
  /** Tries of one request, the first one included; the pause between them doubles from 100 ms (throttled: 1 s) to 20 s. */
  attempts: number;
  /** Longest wait for an answer, and for the next bytes of one. */
  timeoutMs: number;
}

/**
 * Reads AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL_STS, AWS_REGION, AWS_DEFAULT_REGION and AWS_ROLE_ARN.
 * Throws `environment_invalid`.
 */
export function readS3Settings(env: Readonly<Record<string, string | undefined>>): S3Settings {
  const endpoint = readEndpoint(env, 'AWS_ENDPOINT_URL_S3') ?? readEndpoint(env, 'AWS_ENDPOINT_URL');
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || (endpoint === null ? null : 'us-east-1');
  const sts = readEndpoint(env, 'AWS_ENDPOINT_URL_STS') ?? readEndpoint(env, 'AWS_ENDPOINT_URL');
  const vending = env.AWS_ROLE_ARN ? { roleArn: env.AWS_ROLE_ARN, endpoint: sts } : null;
  return { endpoint, region, vending, attempts: 8, timeoutMs: 30_000 };
}

function readEndpoint(env: Readonly<Record<string, string | undefined>>, name: string): string | null {
  const endpoint = env[name] || null;
  if (endpoint === null || /^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')) return endpoint;
  const message = `${name} must be an address that begins with http:// or https://.`;
  throw new DailiesError('environment_invalid', message, { details: { variable: name } });
}

/** What the clients of AWS's SDK take as `requestHandler`: no request waits for ever. */
export function requestTimeouts({ timeoutMs }: S3Settings) {
  return {
    connectionTimeout: Math.min(timeoutMs, 5_000),
    requestTimeout: timeoutMs,
    throwOnRequestTimeout: true,
    socketTimeout: timeoutMs,
  };
}
