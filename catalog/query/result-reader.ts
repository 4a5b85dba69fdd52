import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { DailiesError } from '../error.ts';
import { fromDuckdb, literal } from '../iceberg/files/duckdb-values.ts';
import { zeroSignOptions } from '../iceberg/files/zero-signs.ts';
import type { FieldType, Row } from '../schemas/schema.ts';
import type { ResultColumn } from './child-protocol.ts';
import { exportSelect } from './export-select.ts';
import { type JsonCell, jsonFromDuckdb } from './json-values.ts';
import { listParts, partsOf } from './spool-parts.ts';

export const exportFormats = ['csv', 'json', 'parquet'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/**
 * Reads the parts that `SpoolWriter` wrote, by a DuckDB inside this process that may open nothing but the results' folder
 * and never sees anybody's SQL.
 */
export class ResultReader {
  readonly #resultsDir: string;
  #opening: Promise<DuckDBInstance> | null = null;
  /** Files that are being made, by path. */
  readonly #making = new Map<string, Promise<string>>();

  /** `resultsDir` is the absolute path under which all results lie. */
  constructor(resultsDir: string) {
    this.#resultsDir = resultsDir;
  }

  /** Rows `offset` … as JSON, at most `limit`, fewer if no more are there yet. Throws `too_large` for what memory does not hold. */
  async page(dir: string, columns: readonly ResultColumn[], offset: number, limit: number): Promise<JsonCell[][]> {
    const { parts, skip } = partsOf(await listParts(dir), offset, limit);
    if (parts.length === 0 || limit === 0) return [];
    const connection = await this.#connect();
    try {
      const result = await connection.runAndReadAll(`${selectFrom(parts)} LIMIT ${limit} OFFSET ${skip}`);
      const convert = columns.map((column) => jsonFromDuckdb(column.type));
      return result.getRows().map((row) => row.map((cell, index) => convert[index]?.(cell) ?? null));
    } catch (cause) {
      if (!isOutOfMemory(cause)) throw cause;
      const message = 'These rows are too large for one page: ask for fewer at a time, or take the result as a file.';
      throw new DailiesError('too_large', message, { cause, details: { limit } });
    } finally {
      connection.closeSync();
    }
  }

  /** All rows in order, in batches of some thousand, in the value forms of `schema.ts`. */
  async *batches(dir: string, types: readonly FieldType[]): AsyncGenerator<Row[]> {
    const convert = types.map(fromDuckdb);
    const connection = await this.#connect();
    try {
      for (const part of await listParts(dir)) {
        const result = await connection.stream(selectFrom([part]));
        for await (const rows of result.yieldRows()) {
          if (rows.length > 0) yield rows.map((row) => row.map((cell, index) => convert[index]?.(cell) ?? null));
        }
      }
    } finally {
      connection.closeSync();
    }
  }

  /**
   * A file of the whole result in its folder, made at the first call. CSV is RFC 4180 with a header, NULL an empty field and
   * empty text `""`, with `bom` for Excel; JSON an array of objects. Values are written as `page` writes them.
   */
  async file(dir: string, columns: readonly ResultColumn[], format: ExportFormat, bom = false): Promise<string> {
    const target = path.join(dir, `result${bom ? '.bom' : ''}.${format}`);
    if (await exists(target)) return target;
    const making =
      this.#making.get(target) ??
      complete(target, (unfinished) => this.#make(unfinished, dir, columns, format, bom)).finally(() =>
        this.#making.delete(target),
      );
    this.#making.set(target, making);
    return await making;
  }

  async #make(
    target: string,
    dir: string,
    columns: readonly ResultColumn[],
    format: ExportFormat,
    bom: boolean,
  ): Promise<void> {
    if (format === 'csv' && bom) return await copyWithMark(await this.file(dir, columns, 'csv'), target);
    const connection = await this.#connect();
    try {
      const parts = await listParts(dir);
      const from = selectFrom(parts, exportSelect(columns, format));
      const cells = columns.map(({ type }, index) => ({ name: `c${index}`, type }));
      const zeros = format === 'parquet' ? await zeroSignOptions(connection, selectFrom(parts), cells) : '';
      await connection.run(`COPY (${from}) TO ${literal(target)} (${copyOptions[format]}${zeros})`);
    } finally {
      connection.closeSync();
    }
  }

  async close(): Promise<void> {
    (await this.#opening)?.closeSync();
    this.#opening = null;
  }

  async #connect(): Promise<DuckDBConnection> {
    this.#opening ??= openReader(this.#resultsDir);
    try {
      return await (await this.#opening).connect();
    } catch (cause) {
      // The next one tries again.
      this.#opening = null;
      throw cause;
    }
  }
}

const copyOptions: Record<ExportFormat, string> = {
  csv: "FORMAT csv, HEADER, NULLSTR ''",
  json: 'FORMAT json, ARRAY true',
  parquet: 'FORMAT parquet, COMPRESSION zstd',
};

async function openReader(resultsDir: string): Promise<DuckDBInstance> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '2',
    memory_limit: '512MB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'UTC'");
  await connection.run(`SET temp_directory = ${literal(path.join(resultsDir, '.temp'))}`);
  await connection.run(`SET allowed_directories = [${literal(resultsDir)}]`);
  await connection.run('SET enable_external_access = false');
  await connection.run('SET lock_configuration = true');
  connection.closeSync();
  return instance;
}

function selectFrom(parts: readonly { path: string }[], select = 'SELECT *'): string {
  if (parts.length === 0)
    throw new DailiesError('not_found', 'The rows of this result are no longer kept: run the query again.');
  return `${select} FROM read_parquet([${parts.map((part) => literal(part.path)).join(', ')}])`;
}

/** Under a name of its own until it is whole; nothing stays of one that could not be made. */
async function complete(target: string, make: (unfinished: string) => Promise<void>): Promise<string> {
  const unfinished = `${target}.${randomUUID()}.unfinished`;
  try {
    await make(unfinished);
    await fs.rename(unfinished, target);
  } finally {
    await fs.rm(unfinished, { force: true });
  }
  return target;
}

async function copyWithMark(source: string, target: string): Promise<void> {
  const output = await fs.open(target, 'w');
  try {
    await output.write('\uFEFF');
    const input = await fs.open(source);
    try {
      for await (const piece of input.createReadStream({ autoClose: false })) await output.write(piece as Buffer);
    } finally {
      await input.close();
    }
  } finally {
    await output.close();
  }
}

function isOutOfMemory(thrown: unknown): boolean {
  return thrown instanceof Error && /^Out of Memory Error/.test(thrown.message);
}

async function exists(file: string): Promise<boolean> {
  return await fs.access(file).then(
    () => true,
    () => false,
  );
}
