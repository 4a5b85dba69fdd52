import { rm } from 'node:fs/promises';
import { diskError, syncPath } from './location.ts';
import { ReadCache } from './read-cache.ts';
import { S3Objects } from './s3-objects.ts';
import type { S3Settings } from './s3-settings.ts';
import type { LocalFiles, NewFile, Storage, StoredFile } from './storage.ts';

export interface S3StorageOptions {
  settings: S3Settings;
  /** Absolute path of the read cache, which several processes may share. */
  cacheFolder: string;
  cacheBytes: number;
}

/** Files as objects of S3. What DuckDB reads or writes passes through local copies. */
export class S3Storage implements Storage {
  readonly #objects: S3Objects;
  readonly #cache: ReadCache;

  constructor({ settings, cacheFolder, cacheBytes }: S3StorageOptions) {
    this.#objects = new S3Objects(settings);
    const fetch = (location: string, path: string) => this.#objects.download(location, path);
    this.#cache = new ReadCache({ folder: cacheFolder, maxBytes: cacheBytes, fetch });
  }

  async readBytes(location: string): Promise<Buffer> {
    return await this.#objects.read(location);
  }

  async readRange(location: string, offset: number, length: number): Promise<Buffer> {
    return await this.#objects.readRange(location, offset, length);
  }

  async writeBytes(location: string, bytes: string | Uint8Array): Promise<void> {
    await this.#objects.put(location, bytes);
  }

  newFile(location: string): NewFile {
    const path = this.#cache.newPath(location);
    const abandon = () => rm(path, { force: true });
    return {
      path,
      finish: async () => {
        try {
          for (const outcome of await Promise.allSettled([this.#objects.upload(location, path), syncPath(path)])) {
            if (outcome.status === 'rejected') throw outcome.reason;
          }
          // It is likely to be read here next.
          await this.#cache.adopt(location, path);
        } catch (thrown) {
          await abandon();
          throw diskError(thrown, path);
        }
      },
      abandon,
    };
  }

  localPath(location: string): string {
    return this.#cache.pathOf(location);
  }

  async holdLocal(locations: readonly string[]): Promise<LocalFiles> {
    return await this.#cache.hold(locations);
  }

  async removeFiles(locations: readonly string[]): Promise<void> {
    await this.#objects.remove(locations);
    await this.#cache.forget(locations);
  }

  listFiles(prefix: string): AsyncGenerator<StoredFile> {
    return this.#objects.list(prefix);
  }

  /** S3 has no folders. */
  async makeTableFolders(): Promise<void> {}

  async syncTableFolders(): Promise<void> {}

  async removeUnfinished(prefix: string, beforeMs: number): Promise<number> {
    return await this.#objects.removeUnfinishedUploads(prefix, beforeMs);
  }

  /** Ends all connections and removes this process's files; nothing may be held any more. */
  close(): void {
    this.#objects.close();
    this.#cache.close();
  }
}
