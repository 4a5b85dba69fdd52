import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { DailiesError } from '../../error.ts';
import { Gate, inParallel } from './in-parallel.ts';
import { diskError } from './location.ts';
import { openS3Client } from './s3-client.ts';
import { isOutcomeUnknown, s3Error, s3Status } from './s3-error.ts';
import { s3Place } from './s3-location.ts';
import type { S3Settings } from './s3-settings.ts';
import type { StoredFile } from './storage.ts';

/** Files beyond this size go up, and come down, in parts of it. */
const partBytes = 8 << 20;
const partsAtOnce = 3;
/** Most reads under way in the whole process: as many as there are connections. */
const readsAtOnce = 40;
/** Most parts that downloads of the whole process have in memory. */
const downloadsAtOnce = 16;
/** Most that one request may delete. */
const deletesAtOnce = 1_000;
/** How often an answer whose bytes broke off is asked for again. */
const bodyAttempts = 6;
/** Metadata of every object that we write, so that who lost the answer can tell its own write from another's. */
const writeId = 'dailies-write';

/**
 * Objects of S3 by location. Requests that are throttled, fail with 5xx or lose the network are tried again with
 * back-off; a write whose answer is lost is looked for before it counts as failed. Throws `not_found`,
 * `storage_refused`, `storage_throttled`, `storage_unreachable`, `disk_full`.
 */
export class S3Objects {
  readonly #client: S3Client;
  readonly #settings: S3Settings;
  readonly #reads = new Gate(readsAtOnce);
  readonly #downloads = new Gate(downloadsAtOnce);

  constructor(settings: S3Settings) {
    this.#settings = settings;
    this.#client = openS3Client(settings);
  }

  /** The whole object. */
  async read(location: string): Promise<Buffer> {
    return (await this.#get(location)).bytes;
  }

  /** `length` bytes from `offset`, fewer at the object's end. */
  async readRange(location: string, offset: number, length: number): Promise<Buffer> {
    if (length <= 0) return Buffer.alloc(0);
    return (await this.#get(location, { offset, length })).bytes;
  }

  /** Brings the object into a file that must not exist yet, flushed to disk. Resolves with its size. */
  async download(location: string, path: string): Promise<number> {
    const handle = await open(path, 'wx');
    try {
      const part = (offset: number) =>
        this.#downloads.run(async () => {
          const { bytes, sizeBytes } = await this.#get(location, { offset, length: partBytes });
          await handle.write(bytes, 0, bytes.length, offset);
          return sizeBytes;
        });
      const sizeBytes = await part(0);
      const offsets: number[] = [];
      for (let offset = partBytes; offset < sizeBytes; offset += partBytes) offsets.push(offset);
      await inParallel(offsets, partsAtOnce, part);
      await handle.datasync();
      return sizeBytes;
    } catch (thrown) {
      throw diskError(thrown, path);
    } finally {
      await handle.close();
    }
  }

  /** Writes an object that must not exist yet, durable when resolved. Throws `conflict` if somebody else wrote it. */
  async put(location: string, bytes: string | Uint8Array): Promise<void> {
    const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    const params = { ...this.#place(location), Body: body, ContentLength: body.length };
    await this.#write(location, (once) => this.#client.send(new PutObjectCommand({ ...params, ...once })));
  }

  /** Writes an object that must not exist yet from a file, in parts where it is large; otherwise as `put`. */
  async upload(location: string, path: string): Promise<void> {
    if ((await stat(path)).size <= partBytes) return await this.put(location, await readFile(path));
    await this.#write(location, async (once) => {
      const body = createReadStream(path, { highWaterMark: 1 << 20 });
      const params = { ...this.#place(location), Body: body, ...once };
      try {
        // Parts of an upload that fails are removed by it.
        await new Upload({ client: this.#client, params, partSize: partBytes, queueSize: partsAtOnce }).done();
      } finally {
        body.destroy();
      }
    });
  }

  /** Deletes objects; those that are gone are passed over. */
  async remove(locations: readonly string[]): Promise<void> {
    const byBucket = Map.groupBy(locations, (location) => s3Place(location).bucket);
    for (const [bucket, all] of byBucket) {
      for (let start = 0; start < all.length; start += deletesAtOnce) {
        await this.#removeSome(bucket, all.slice(start, start + deletesAtOnce));
      }
    }
  }

  /** All objects below a location, in order of their keys. */
  async *list(prefix: string): AsyncGenerator<StoredFile> {
    const { bucket, key } = s3Place(prefix.endsWith('/') ? prefix : `${prefix}/`);
    const scheme = prefix.slice(0, prefix.indexOf('://'));
    let token: string | undefined;
    do {
      const page = await this.#asked(prefix, () =>
        this.#client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken: token })),
      );
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined) continue;
        const modifiedMs = LastModified?.getTime() ?? 0;
        yield { location: `${scheme}://${bucket}/${Key}`, sizeBytes: Size ?? 0, modifiedMs };
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  /** Removes the parts of uploads below a location that were begun before a time and never ended. Resolves with their number. */
  async removeUnfinishedUploads(prefix: string, beforeMs: number): Promise<number> {
    const { bucket, key } = s3Place(prefix.endsWith('/') ? prefix : `${prefix}/`);
    const { Uploads = [] } = await this.#asked(prefix, () =>
      this.#client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key })),
    );
    const stale = Uploads.filter(({ Initiated }) => Initiated !== undefined && Initiated.getTime() < beforeMs);
    for (const { Key, UploadId } of stale) {
      await this.#asked(prefix, () =>
        this.#client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId })),
      );
    }
    return stale.length;
  }

  close(): void {
    this.#client.destroy();
  }

  #get(location: string, range?: Range): Promise<{ bytes: Buffer; sizeBytes: number }> {
    return this.#reads.run(() => this.#getNow(location, range));
  }

  async #getNow(location: string, range?: Range): Promise<{ bytes: Buffer; sizeBytes: number }> {
    const request = {
      ...this.#place(location),
      ...(range && { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` }),
    };
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#asked(location, () => this.#client.send(new GetObjectCommand(request))).catch(
        (thrown: unknown) => {
          // No object has bytes beyond its end, an empty one none at all.
          if (range && thrown instanceof DailiesError && thrown.details.status === 416) return null;
          throw thrown;
        },
      );
      if (answer === null) return { bytes: Buffer.alloc(0), sizeBytes: 0 };
      try {
        const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
        const whole = Number(answer.ContentRange?.split('/')[1]);
        return { bytes, sizeBytes: Number.isSafeInteger(whole) ? whole : bytes.length };
      } catch (thrown) {
        if (attempt === bodyAttempts) throw s3Error(thrown, location, this.#settings.endpoint);
        await delay(100 * 2 ** attempt * Math.random());
      }
    }
  }

  async #write(location: string, write: (once: WriteOnce) => Promise<unknown>): Promise<void> {
    const id = randomUUID();
    try {
      await write({ IfNoneMatch: '*', Metadata: { [writeId]: id } });
    } catch (thrown) {
      if (isOutcomeUnknown(thrown) && (await this.#isWrittenBy(location, id))) return;
      if (s3Status(thrown) === 412) {
        const message = `The file ${location} exists already, written by somebody else.`;
        throw new DailiesError('conflict', message, { details: { location } });
      }
      throw s3Error(thrown, location, this.#settings.endpoint);
    }
  }

  async #isWrittenBy(location: string, id: string): Promise<boolean> {
    try {
      const { Metadata } = await this.#client.send(new HeadObjectCommand(this.#place(location)));
      return Metadata?.[writeId] === id;
    } catch (thrown) {
      const error = s3Error(thrown, location, this.#settings.endpoint);
      if (error.code === 'not_found') return false;
      throw error;
    }
  }

  async #removeSome(bucket: string, locations: readonly string[]): Promise<void> {
    const [first = ''] = locations;
    const objects = locations.map((location) => ({ Key: s3Place(location).key }));
    const { Errors = [] } = await this.#asked(first, () =>
      this.#client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: objects, Quiet: true } })),
    );
    const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey');
    if (failed === undefined) return;
    const thrown = Object.assign(new Error('not deleted'), { name: failed.Code ?? 'unknown' });
    const status = failed.Code === 'AccessDenied' ? 403 : 500;
    throw s3Error(
      Object.assign(thrown, { $metadata: { httpStatusCode: status } }),
      `s3://${bucket}/${failed.Key ?? ''}`,
      this.#settings.endpoint,
    );
  }

  async #asked<Answer>(location: string, ask: () => Promise<Answer>): Promise<Answer> {
    try {
      return await ask();
    } catch (thrown) {
      throw s3Error(thrown, location, this.#settings.endpoint);
    }
  }

  #place(location: string): { Bucket: string; Key: string } {
    const { bucket, key } = s3Place(location);
    return { Bucket: bucket, Key: key };
  }
}

interface Range {
  offset: number;
  length: number;
}

interface WriteOnce {
  IfNoneMatch: '*';
  Metadata: Record<string, string>;
}
