import { randomUUID } from 'node:crypto';
import type { STSClient } from '@aws-sdk/client-sts';
import { DailiesError } from '../../error.ts';
import { s3Error } from './s3-error.ts';
import { isS3, s3Place } from './s3-location.ts';
import { requestTimeouts, type S3Settings } from './s3-settings.ts';

/** A credential with the locations that it is good for, as properties that Iceberg's clients take. */
export interface VendedCredential {
  prefix: string;
  config: Record<string, string>;
}

export interface CredentialVendorOptions {
  settings: S3Settings;
  /** Location of the warehouse: nothing is vended for what is not below it. */
  warehouse: string;
  nowMs(): number;
}

/** What AWS allows at most where one role takes another. */
const durationSeconds = 3_600;
/** Credentials are handed out again until then: who gets them last still has a while. */
const reuseMs = (durationSeconds * 1000) / 2;

/**
 * Temporary credentials for the files of one table: STS gives them for the role of AWS_ROLE_ARN, narrowed by a policy
 * to the table's location. A client sees no other table's files, and without `mayWrite` changes none.
 */
export class CredentialVendor {
  readonly #options: CredentialVendorOptions;
  readonly #vended = new Map<string, { credential: VendedCredential; untilMs: number }>();
  #client: Promise<STSClient> | null = null;

  constructor(options: CredentialVendorOptions) {
    this.#options = options;
  }

  /** What clients must know of the storage besides credentials; empty for a warehouse that is not in S3. */
  get config(): Readonly<Record<string, string>> {
    const { settings, warehouse } = this.#options;
    if (!isS3(warehouse)) return {};
    return {
      ...(settings.endpoint === null ? {} : { 's3.endpoint': settings.endpoint, 's3.path-style-access': 'true' }),
      ...(settings.region === null ? {} : { 'client.region': settings.region, 's3.region': settings.region }),
    };
  }

  /**
   * Credentials for what is below a table's location, good for half an hour at least; none where none can be had or a
   * policy could not name the location. Throws `storage_refused`, `storage_unreachable`.
   */
  async vend(location: string, mayWrite: boolean): Promise<VendedCredential[]> {
    const { settings, warehouse, nowMs } = this.#options;
    if (settings.vending === null || !isS3(warehouse) || !isNameable(location, warehouse)) return [];
    const key = `${mayWrite} ${location}`;
    const known = this.#vended.get(key);
    if (known && known.untilMs > nowMs()) return [known.credential];
    const credential = await this.#assume(settings.vending.roleArn, location, mayWrite);
    for (const [old, { untilMs }] of this.#vended) if (untilMs <= nowMs()) this.#vended.delete(old);
    this.#vended.set(key, { credential, untilMs: nowMs() + reuseMs });
    return [credential];
  }

  async close(): Promise<void> {
    (await this.#client)?.destroy();
  }

  async #assume(roleArn: string, location: string, mayWrite: boolean): Promise<VendedCredential> {
    const { settings, warehouse } = this.#options;
    const { AssumeRoleCommand } = await import('@aws-sdk/client-sts');
    this.#client ??= openClient(settings);
    const client = await this.#client;
    const command = new AssumeRoleCommand({
      RoleArn: roleArn,
      RoleSessionName: `dailies-${randomUUID()}`,
      DurationSeconds: durationSeconds,
      Policy: JSON.stringify(policyFor(location, mayWrite)),
    });
    const { Credentials } = await client.send(command).catch((thrown: unknown) => {
      const { message } = s3Error(thrown, warehouse, settings.vending?.endpoint ?? null);
      const sentence = `No temporary credentials for ${location} could be had. ${message} See AWS_ROLE_ARN.`;
      throw new DailiesError('storage_refused', sentence, { details: { location } });
    });
    const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '', Expiration } = Credentials ?? {};
    return {
      prefix: location,
      config: {
        ...this.config,
        's3.access-key-id': AccessKeyId,
        's3.secret-access-key': SecretAccessKey,
        's3.session-token': SessionToken,
        ...(Expiration && { 's3.session-token-expires-at-ms': String(Expiration.getTime()) }),
      },
    };
  }
}

async function openClient(settings: S3Settings): Promise<STSClient> {
  const { STSClient } = await import('@aws-sdk/client-sts');
  const { region, vending, attempts } = settings;
  const endpoint = vending?.endpoint ?? null;
  return new STSClient({
    ...(region === null ? {} : { region }),
    ...(endpoint === null ? {} : { endpoint }),
    maxAttempts: attempts,
    requestHandler: requestTimeouts(settings),
  });
}

/** Policies know wildcards: a location that holds one would name others, too. */
function isNameable(location: string, warehouse: string): boolean {
  const parts = location.split('/');
  return location.startsWith(`${warehouse}/`) && !/[*?$]/.test(location) && !parts.includes('..');
}

function policyFor(location: string, mayWrite: boolean): object {
  const { bucket, key } = s3Place(location.replace(/\/+$/, ''));
  const arn = `arn:aws:s3:::${bucket}`;
  const writing = ['s3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'];
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: ['s3:GetObject', ...(mayWrite ? writing : [])],
        Resource: [`${arn}/${key}/*`],
      },
      {
        Effect: 'Allow',
        Action: ['s3:ListBucket'],
        Resource: [arn],
        Condition: { StringLike: { 's3:prefix': [`${key}/*`] } },
      },
      { Effect: 'Allow', Action: ['s3:GetBucketLocation'], Resource: [arn] },
    ],
  };
}
