import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import type { ChangesRequest, Source, SourceMemory } from '#ingest/source.ts';
import { kafka } from '#ingest/sources/kafka/kafka.ts';
import { Follower, requestFor, type Seen } from '../postgres/follower.ts';

export const recordings = path.resolve(import.meta.dirname, '../../../fixtures/debezium');

export function openTopics(
  folder: string,
  options: { memory?: SourceMemory; tables?: string[]; registry?: string; skip?: string[]; now?: () => Date } = {},
): Source {
  const { memory = passingMemory(), tables = ['*'], registry, skip = [], now = () => new Date() } = options;
  const url = new URL(`file://${folder}`);
  if (registry !== undefined) url.searchParams.set('registry', registry);
  return kafka.open(kafka.config.parse({ url: url.href, tables, skip }), { name: 's', memory, now });
}

/** A follower that has read everything that the folder holds. */
export async function followTopics(source: Source, request?: ChangesRequest): Promise<Follower> {
  const follower = new Follower(source, request ?? (await requestFor(source, null)));
  await follower.caughtUp();
  return follower;
}

/** Every record of a folder, read once from its beginning. */
export async function readAll(folder: string, options: Parameters<typeof openTopics>[1] = {}): Promise<Follower> {
  const source = openTopics(folder, options);
  const follower = await followTopics(source);
  await follower.stop();
  await source.close();
  return follower;
}

/** A row as an object; what is unknown is left out. */
export function known({ fields }: Pick<Seen, 'fields'>, row: Row | null): Record<string, unknown> | null {
  if (row === null) return null;
  return Object.fromEntries(fields.flatMap((name, index) => (row[index] === UNKNOWN ? [] : [[name, row[index]]])));
}

/**
 * The rows of a keyed table after all changes, by key, however often one of them is told: Debezium tells again what it had told
 * before it was killed. What a row under a new key says is unknown it has from the one that went right before.
 */
export function lastRowsOf(follower: Follower, table: string): Map<unknown, Record<string, unknown>> {
  const rows = new Map<unknown, Record<string, unknown>>();
  let removed: Record<string, unknown> | undefined;
  for (const seen of follower.eventsOf(table)) {
    const { event } = seen;
    const [key] = seen.changes.schema.key;
    const keyOf = (row: Row) => row[seen.fields.indexOf(key ?? '')];
    const base = event.op === 'c' ? removed : undefined;
    removed = undefined;
    if (event.op === 't') rows.clear();
    else if (event.after) {
      const { after } = event;
      const moved = seen.fields.flatMap((name, index) => (after[index] === UNKNOWN ? [[name, base?.[name]]] : []));
      const kept = { ...(base && Object.fromEntries(moved)), ...rows.get(keyOf(after)) };
      rows.set(keyOf(after), { ...kept, ...known(seen, after) });
    } else if (event.before) {
      removed = rows.get(keyOf(event.before));
      rows.delete(keyOf(event.before));
    }
  }
  return rows;
}

/** An empty folder, removed at the end of its block. */
export function topicFolder(): Disposable & { path: string } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-topics-'));
  return { path: folder, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) };
}

export interface PlainRecord {
  offset: number;
  key?: unknown;
  value?: unknown;
  headers?: string[];
}

/** A line of a recorded topic: JSON without schemas. */
export function line({ offset, key = null, value = null, headers = [] }: PlainRecord): string {
  const text = (json: unknown) => (json === null ? null : JSON.stringify(json));
  const pairs = headers.flatMap((name) => [name, '']);
  return `${JSON.stringify({ offset, ts: 1_700_000_000_000, headers: pairs, key: text(key), payload: text(value) })}\n`;
}

/** Debezium's envelope of a table `public.t`. */
export function envelope(op: string, rows: { before?: unknown; after?: unknown }, connector = 'postgresql'): unknown {
  const source = { connector, name: 'pf', ts_ms: 1_700_000_000_000, schema: 'public', table: 't', txId: 7 };
  return { before: null, after: null, ...rows, source, op, ts_ms: 1_700_000_000_000 };
}
