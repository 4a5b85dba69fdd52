import { rm, stat, writeFile } from 'node:fs/promises';
import { type DuckDBConnection, DuckDBMapValue, type DuckDBValue } from '@duckdb/node-api';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { duckdbTypeName, literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { optionsFor } from '#catalog/iceberg/files/zero-signs.ts';
import type { FieldType } from '#catalog/schemas/schema.ts';
import { scratchPath } from '#catalog/scratch.ts';
import type { ChunkFile } from '../chunks/chunk-reader.ts';
import type { CopyChunk } from './copy-out.ts';
import type { Relation } from './relation.ts';

/*
 * DuckDB parses a snapshot's rows several times as fast as we do. It is trusted with the types whose text it reads as our
 * own decoder does, which the type matrix of the tests holds it to; a piece of a table with a value that its type cannot
 * carry goes to our decoder, which knows what becomes of it.
 */

/** Types that DuckDB reads from Postgres's text as `decode-value.ts` does, once `isOdd` has found nothing. */
const trusted: ReadonlySet<FieldType['kind']> = new Set([
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'decimal',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'string',
  'uuid',
  'binary',
]);

const era = Buffer.from(' BC');
/** A -0 with what follows it. A text that ends so costs its file the dictionaries, and nothing else. */
const negativeZeros = [Buffer.from('-0,'), Buffer.from('-0\n')];
const minLineBytes = 2 << 20;

/** Turns pieces of a COPY in CSV into Parquet files as `SnapshotRows` has them. */
export class SnapshotFiles {
  readonly #connection: DuckDBConnection;
  /** Of which a piece held a -0: the next ones are looked through before they are written rather than after. */
  readonly #withNegativeZeros = new WeakSet<Relation>();

  private constructor(connection: DuckDBConnection) {
    this.#connection = connection;
  }

  static async open(): Promise<SnapshotFiles> {
    return new SnapshotFiles(await connectDuckdb());
  }

  static canHold(relation: Relation): boolean {
    return relation.columns.length > 0 && relation.columns.every(({ type }) => trusted.has(type.kind));
  }

  /** The rows as a Parquet file, which the caller removes; null where they hold something that needs our own decoder. */
  async write(chunk: CopyChunk, relation: Relation): Promise<ChunkFile | null> {
    const hasDates = relation.columns.some(({ type }) => /^(date|timestamp)/.test(type.kind));
    // DuckDB reads a day before Christ as if it were after.
    if (hasDates && chunk.bytes.includes(era)) return null;
    const csv = scratchPath('.csv');
    const path = scratchPath('.parquet');
    let isKept = false;
    try {
      await writeFile(csv, chunk.bytes);
      const facts = await this.#convertKeepingZeros(csv, path, chunk, relation);
      if (facts === null || isOdd(facts, chunk.rows, relation)) return null;
      const { size } = await stat(path);
      isKept = true;
      return { path, schema: relation.schema, rows: chunk.rows, bytes: size };
    } finally {
      await Promise.all([rm(csv, { force: true }), ...(isKept ? [] : [rm(path, { force: true })])]);
    }
  }

  /** The connection that the files are written by. */
  get connection(): DuckDBConnection {
    return this.#connection;
  }

  close(): void {
    this.#connection.closeSync();
  }

  /** As `#convert`, so that zeros keep their signs: once more, in another way, where a -0 turns up. */
  async #convertKeepingZeros(csv: string, path: string, chunk: CopyChunk, relation: Relation): Promise<Facts | null> {
    if (this.#withNegativeZeros.has(relation)) {
      return await this.#convert(csv, path, chunk, relation, mayHoldNegativeZero(chunk));
    }
    const facts = await this.#convert(csv, path, chunk, relation, false);
    if (facts === null || !mayHoldZero(facts, chunk, relation) || !mayHoldNegativeZero(chunk)) return facts;
    this.#withNegativeZeros.add(relation);
    return await this.#convert(csv, path, chunk, relation, true);
  }

  /** Statistics of each column, by name; null where DuckDB cannot read a value at all. */
  async #convert(
    csv: string,
    parquet: string,
    chunk: CopyChunk,
    relation: Relation,
    hasNegativeZero: boolean,
  ): Promise<Facts | null> {
    const zeros = optionsFor(relation.schema.fields, hasNegativeZero);
    const read = relation.columns.map(
      ({ type }, index) => `c${index}: ${literal(type.kind === 'binary' ? 'VARCHAR' : duckdbTypeName(type))}`,
    );
    const select = relation.columns.map(({ type }, index) =>
      // `\x` and hex digits.
      type.kind === 'binary' ? `unhex(substr(c${index}, 3)) AS c${index}` : `c${index}`,
    );
    // A schema's last fields are the texts of values that their columns cannot carry; here there are none.
    for (let index = relation.columns.length; index < relation.schema.fields.length; index++) {
      select.push(`CAST(NULL AS VARCHAR) AS c${index}`);
    }
    const options = [
      'auto_detect = false',
      'header = false',
      `delim = ','`,
      `quote = '"'`,
      `escape = '"'`,
      `new_line = '\\n'`,
      `nullstr = ''`,
      'allow_quoted_nulls = false',
      'strict_mode = true',
      `max_line_size = ${Math.max(minLineBytes, chunk.longestRow + 1)}`,
      `columns = {${read.join(', ')}}`,
    ];
    const source = `read_csv(${literal(csv)}, ${options.join(', ')})`;
    try {
      const copy = `COPY (SELECT ${select.join(', ')} FROM ${source}) TO ${literal(parquet)} (FORMAT parquet, COMPRESSION zstd, RETURN_STATS${zeros})`;
      const [, rows, , , statistics] = (await this.#connection.runAndReadAll(copy)).getRows()[0] ?? [];
      return Number(rows) === chunk.rows ? factsOf(statistics ?? null) : null;
    } catch (thrown) {
      if (thrown instanceof Error && /^(Conversion|Invalid Input) Error/.test(thrown.message)) return null;
      throw thrown;
    }
  }
}

type Facts = ReadonlyMap<string, ReadonlyMap<string, string>>;

function factsOf(statistics: DuckDBValue): Facts {
  const facts = new Map<string, Map<string, string>>();
  if (!(statistics instanceof DuckDBMapValue)) return facts;
  for (const { key, value } of statistics.entries) {
    if (!(value instanceof DuckDBMapValue)) continue;
    const column = new Map(value.entries.map((entry) => [String(entry.key), String(entry.value)] as const));
    facts.set(String(key).replaceAll('"', ''), column);
  }
  return facts;
}

/** True where a column may hold a value that its type cannot carry, or a NULL where there should be none. */
function isOdd(facts: Facts, rows: number, relation: Relation): boolean {
  return relation.columns.some(({ type }, index) => {
    const column = facts.get(`c${index}`);
    const nulls = Number(column?.get('null_count') ?? Number.NaN);
    if (relation.schema.fields[index]?.required && nulls !== 0) return true;
    const limits = oddness[type.kind];
    if (limits === undefined || nulls === rows) return false;
    return ![column?.get('min'), column?.get('max')].every((text) => text !== undefined && limits.test(text));
  });
}

/** Whether zero is between the least and the greatest value of a floating-point column. */
function mayHoldZero(facts: Facts, chunk: CopyChunk, relation: Relation): boolean {
  return relation.columns.some(({ type }, index) => {
    if (type.kind !== 'float' && type.kind !== 'double') return false;
    const column = facts.get(`c${index}`);
    if (Number(column?.get('null_count')) === chunk.rows) return false;
    // Without bounds there are NaNs.
    return !(Number(column?.get('min') ?? 0) > 0 || Number(column?.get('max') ?? 0) < 0);
  });
}

/** A look at the text: a tenth of the work that it is to convert it. */
function mayHoldNegativeZero(chunk: CopyChunk): boolean {
  return negativeZeros.some((text) => chunk.bytes.includes(text));
}

/** What the least and the greatest value of a column look like where all are ordinary. */
const oddness: Partial<Record<FieldType['kind'], RegExp>> = {
  date: /^\d{4}-\d\d-\d\d$/,
  timestamp: /^\d{4}-\d\d-\d\d [\d:.]+$/,
  timestamptz: /^\d{4}-\d\d-\d\d [\d:.]+\+00$/,
  time: /^([01]\d|2[0-3]):/,
};
