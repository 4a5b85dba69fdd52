import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type { DestinationModule, ReportResult, WholeDestination } from '../destination.ts';

const config = z.strictObject({
  path: z
    .string()
    .min(1)
    .meta({
      title: 'Path',
      description: 'Absolute, or relative to the home folder; replaced whole by each run',
      examples: ['exports/movies.csv'],
    }),
  format: z
    .enum(['csv', 'parquet', 'json'], 'is csv, parquet or json (xlsx is not supported yet)')
    .meta({ title: 'Format', examples: ['csv'] }),
});

/** Readers see the old file or the new one, never a part; a result that is byte for byte the old file is not written. */
export const file: DestinationModule<typeof config> = {
  kind: 'destination',
  id: 'file',
  title: 'File',
  summary: 'Puts the whole result into one CSV, Parquet or JSON file on the machine that runs Dailies.',
  config,
  limits: {
    rows: null,
    columns: null,
    charactersPerCell: null,
    requests: null,
    bytesPerRequest: null,
    rowsPerRequest: null,
  },
  target: (value) => value.path,
  exclusive: (value) => `file/${value.path}`,
  open: (value, deps) => new FileDelivery(path.resolve(deps.home, value.path), value.format),
};

class FileDelivery implements WholeDestination {
  readonly form = 'whole';
  written = 0;
  readonly #path: string;
  readonly #format: 'csv' | 'parquet' | 'json';

  constructor(target: string, format: 'csv' | 'parquet' | 'json') {
    this.#path = target;
    this.#format = format;
  }

  async check(): Promise<void> {
    await this.#explain(async () => {
      await mkdir(path.dirname(this.#path), { recursive: true });
      const there = await stat(this.#path).catch(missing);
      if (there && !there.isFile()) {
        throw new DailiesError(
          'destination_invalid',
          `${this.#path} is not a file. Name a file for the report to fill.`,
        );
      }
    });
  }

  async write(result: ReportResult, signal: AbortSignal): Promise<{ rows: number; isChanged: boolean }> {
    const source = await result.file(this.#format, signal);
    await this.check();
    return this.#explain(async () => {
      const [now, next] = [await digest(this.#path).catch(missing), await digest(source)];
      if (now === next) return { rows: result.rowCount, isChanged: false };
      const folder = path.dirname(this.#path);
      const part = path.join(folder, `.${path.basename(this.#path)}.${randomUUID()}.part`);
      try {
        await copyFile(source, part);
        await sync(part);
        signal.throwIfAborted();
        this.written++;
        await rename(part, this.#path); // commit point
        await sync(folder);
      } finally {
        await rm(part, { force: true });
      }
      return { rows: result.rowCount, isChanged: true };
    });
  }

  async close(): Promise<void> {}

  async #explain<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      const code = errorCode(thrown);
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
        throw new DailiesError(
          'destination_forbidden',
          `Dailies may not write ${this.#path}. Let the user that runs it write into that folder.`,
          { cause: thrown },
        );
      }
      if (code === 'ENOSPC' || code === 'EDQUOT') {
        throw new DailiesError(
          'disk_full',
          `There is no space left to write ${this.#path}. Free some, then run the report again.`,
          {
            cause: thrown,
          },
        );
      }
      if (code === 'ENOTDIR' || code === 'EEXIST' || code === 'EISDIR' || code === 'ENAMETOOLONG') {
        throw new DailiesError(
          'destination_invalid',
          `${this.#path} cannot be a file: part of its path is none or a file.`,
          {
            cause: thrown,
          },
        );
      }
      throw thrown;
    }
  }
}

function errorCode(thrown: unknown): string | null {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : null;
}

function missing(thrown: unknown): null {
  if (errorCode(thrown) === 'ENOENT') return null;
  throw thrown;
}

async function digest(name: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(name)) hash.update(chunk);
  return hash.digest('hex');
}

async function sync(name: string): Promise<void> {
  const handle = await open(name, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
