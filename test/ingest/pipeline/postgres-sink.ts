import pg from 'pg';
import { z } from 'zod';
import type { DailiesError } from '#catalog/error.ts';
import { keyIndexes, type Row, type Schema } from '#catalog/schemas/schema.ts';
import type { TableChanges } from '#ingest/event.ts';
import type { PipelinePosition, Sink, SinkCommit, SinkModule } from '#ingest/sink.ts';

const config = z.strictObject({ table: z.string() });

export interface PostgresSinkDeps {
  /** A database of the test's own. */
  targetUrl: string;
  /** What the next commit does instead of ending well. */
  faults: { failCommit: DailiesError | null; loseAnswer: boolean };
}

/** Lands rows as JSON in one table of a Postgres database, with the position in the same transaction. */
export const postgresSink: SinkModule<typeof config, PostgresSinkDeps> = {
  kind: 'sink',
  id: 'postgres-table',
  title: 'Postgres table',
  summary: 'Rows as JSON.',
  config,
  open: ({ table }, deps) => new PostgresSink(table, deps),
};

export async function createTargets(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`CREATE TABLE target (target text, key text, row jsonb, seq bigserial);
    CREATE TABLE landed (target text PRIMARY KEY, position jsonb, commits int NOT NULL DEFAULT 1);
    CREATE TABLE chunked (target text PRIMARY KEY, generation int, since bigint)`);
  await client.end();
}

type Staged =
  | { kind: 'put'; target: string; key: string | null; row: string }
  | { kind: 'remove'; target: string; key: string }
  | { kind: 'clear'; target: string }
  | { kind: 'begin'; target: string; generation: number }
  | { kind: 'end'; target: string };

class PostgresSink implements Sink {
  readonly #template: string;
  readonly #deps: PostgresSinkDeps;
  readonly #client: pg.Client;
  #connected: Promise<void> | null = null;
  #staged: Staged[] = [];
  readonly #touched = new Map<string, string>();
  /** Generations that this sink has seen begin; null once they ended. */
  readonly #chunked = new Map<string, number | null>();

  constructor(template: string, deps: PostgresSinkDeps) {
    this.#template = template;
    this.#deps = deps;
    this.#client = new pg.Client({ connectionString: deps.targetUrl });
  }

  target(table: string): { kind: string; target: string } {
    const name = table.slice(table.lastIndexOf('.') + 1);
    return { kind: 'postgres-table', target: this.#template.replaceAll('{table}', name) };
  }

  async writtenUpTo(table: string): Promise<PipelinePosition | null> {
    const client = await this.#connect();
    const { rows } = await client.query('SELECT position FROM landed WHERE target = $1', [this.target(table).target]);
    return rows[0]?.position ?? null;
  }

  async beginSnapshot(table: string): Promise<void> {
    const { target } = this.target(table);
    this.#staged = this.#staged.filter((each) => each.target !== target);
    this.#staged.push({ kind: 'clear', target });
  }

  async beginChunks(table: string, _: Schema, generation: number): Promise<void> {
    const { target } = this.target(table);
    this.#staged.push({ kind: 'begin', target, generation });
    this.#chunked.set(target, generation);
    this.#touched.set(target, table);
  }

  async chunkedGeneration(table: string): Promise<number | null> {
    const { target } = this.target(table);
    const known = this.#chunked.get(target);
    if (known !== undefined) return known;
    const client = await this.#connect();
    const { rows } = await client.query('SELECT generation FROM chunked WHERE target = $1', [target]);
    return rows[0]?.generation ?? null;
  }

  async lacking(): Promise<number[]> {
    return [];
  }

  async endSnapshot(table: string): Promise<void> {
    const { target } = this.target(table);
    if ((await this.chunkedGeneration(table)) !== null) this.#staged.push({ kind: 'end', target });
    this.#chunked.set(target, null);
    this.#touched.set(target, table);
  }

  async write({ table, schema, events }: TableChanges): Promise<void> {
    const { target } = this.target(table);
    this.#touched.set(target, table);
    for (const { op, before, after } of events) {
      const key = keyText(schema, after ?? before ?? []);
      if (op === 't') this.#staged.push({ kind: 'clear', target });
      else if (after) {
        const row = Object.fromEntries(schema.fields.map((field, i) => [field.name, jsonOf(after[i])]));
        this.#staged.push({ kind: 'put', target, key, row: JSON.stringify(row) });
      } else if (key !== null) this.#staged.push({ kind: 'remove', target, key });
    }
  }

  async commit(position: PipelinePosition): Promise<SinkCommit[]> {
    const { faults } = this.#deps;
    const fault = faults.failCommit;
    faults.failCommit = null;
    if (fault && !faults.loseAnswer) throw fault;
    const client = await this.#connect();
    await client.query('BEGIN');
    for (const staged of this.#staged) {
      const { target } = staged;
      if (staged.kind === 'clear') await client.query('DELETE FROM target WHERE target = $1', [target]);
      else if (staged.kind === 'begin') {
        await client.query(
          `INSERT INTO chunked VALUES ($1, $2, coalesce((SELECT max(seq) FROM target), 0))
            ON CONFLICT (target) DO UPDATE SET generation = $2, since = excluded.since`,
          [target, staged.generation],
        );
      } else if (staged.kind === 'end') {
        await client.query(
          'DELETE FROM target WHERE target = $1 AND seq <= (SELECT since FROM chunked WHERE chunked.target = $1)',
          [target],
        );
        await client.query('DELETE FROM chunked WHERE target = $1', [target]);
      } else if (staged.key !== null)
        await client.query('DELETE FROM target WHERE target = $1 AND key = $2', [target, staged.key]);
      if (staged.kind === 'put') {
        await client.query('INSERT INTO target (target, key, row) VALUES ($1, $2, $3)', [
          target,
          staged.key,
          staged.row,
        ]);
      }
    }
    const commits: SinkCommit[] = [];
    for (const [target, table] of this.#touched) {
      await client.query(
        `INSERT INTO landed VALUES ($1, $2) ON CONFLICT (target) DO UPDATE SET position = $2, commits = landed.commits + 1`,
        [target, JSON.stringify(position)],
      );
      const { rows } = await client.query('SELECT count(*) FROM target WHERE target = $1', [target]);
      commits.push({ table, rows: BigInt(rows[0].count), snapshotId: null });
    }
    await client.query('COMMIT');
    this.#staged = [];
    this.#touched.clear();
    if (fault) throw fault;
    return commits;
  }

  async close(): Promise<void> {
    if (this.#connected) await this.#client.end();
  }

  async #connect(): Promise<pg.Client> {
    this.#connected ??= this.#client.connect().then(() => undefined);
    await this.#connected;
    return this.#client;
  }
}

function keyText(schema: Schema, row: Row): string | null {
  if (schema.key.length === 0) return null;
  return JSON.stringify(keyIndexes(schema).map((index) => jsonOf(row[index])));
}

function jsonOf(value: Row[number] | undefined): unknown {
  return typeof value === 'bigint' ? String(value) : (value ?? null);
}
