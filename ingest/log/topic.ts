import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { DailiesError, toDailiesError } from '#catalog/error.ts';
import type { Batch, SourcePosition } from '../event.ts';
import type { LogRecord, SnapshotProgress } from '../log.ts';
import { decodeBatch, decodeHeader, encodeBatch } from './batch-codec.ts';

export interface Retention {
  /** Records younger than this are kept for pipelines that come later. */
  maxAgeMs: number;
  /** Beyond this, records that every group has passed go even if young. */
  maxBytes: number;
  /** Beyond this, the oldest records go even if a group still needs them. */
  hardCapBytes: number;
}

interface Extent {
  first: number;
  next: number;
  bytes: number;
}

/** [bytes, appended at (ms since 1970), 1 if complete] */
type Entry = [bytes: number, atMs: number, isComplete: number];

interface SnapshotMark {
  offset: number;
  generation: number;
  isChunked?: boolean;
  /** The last chunk of a chunked snapshot that is under way. */
  chunk?: SnapshotProgress['chunk'];
}

const trimAtOnce = 500;

/**
 * One topic: an LMDB environment with five databases. `records`: offset → encoded batch. `index`: offset → Entry.
 * `meta`: 'extent' → Extent. `snapshots`: 'open' or 'done', '/', table → SnapshotMark. `groups`: name → offset.
 */
export class Topic {
  readonly #name: string;
  readonly #now: () => Date;
  readonly #env: RootDatabase;
  readonly #records: Database<Buffer, number>;
  readonly #index: Database<Entry, number>;
  readonly #meta: Database<Extent, string>;
  readonly #snapshots: Database<SnapshotMark, string>;
  readonly #groups: Database<number, string>;
  /** Snapshots begun, or that have come on, in this process: `get` does not see the commit under way. */
  readonly #begun = new Map<string, SnapshotMark>();
  readonly #isReader: boolean;
  readonly #wakers = new Set<() => void>();
  #watcher: FSWatcher | null = null;
  /** Runs one write after the other. */
  #writes: Promise<unknown> = Promise.resolve();
  #queue: {
    bytes: Buffer[];
    batches: readonly Batch[];
    resolve(offsets: number[]): void;
    reject(error: unknown): void;
  }[] = [];
  /** True while an append of what is queued stands in the line of writes. */
  #isTurnTaken = false;
  pendingBytes = 0;

  constructor(options: { name: string; folder: string; isReader: boolean; now: () => Date }) {
    this.#name = options.name;
    this.#now = options.now;
    // Without overlappingSync a commit becomes visible only after its sync: what can be read is durable.
    this.#env = open({ path: options.folder, overlappingSync: false, encoding: 'binary', maxDbs: 8 });
    this.#records = this.#env.openDB('records', { encoding: 'binary' });
    this.#index = this.#env.openDB('index', { encoding: 'json' });
    this.#meta = this.#env.openDB('meta', { encoding: 'json' });
    this.#snapshots = this.#env.openDB('snapshots', { encoding: 'json' });
    this.#groups = this.#env.openDB('groups', { encoding: 'json' });
    this.#isReader = options.isReader;
    if (options.isReader) this.#watcher = watch(join(options.folder, 'data.mdb'), () => this.#wake());
  }

  append(batches: readonly Batch[]): Promise<number[]> {
    const bytes = batches.map((batch) => encodeBatch(batch));
    const size = bytes.reduce((sum, record) => sum + record.length, 0);
    this.pendingBytes += size;
    const appended = new Promise<number[]>((resolve, reject) => {
      this.#queue.push({ bytes, batches, resolve, reject });
    });
    // Whatever is queued when the commit before it ends goes into one commit: one turn in the line serves all of it.
    if (!this.#isTurnTaken) {
      this.#isTurnTaken = true;
      void this.#write(() => this.#appendQueued());
    }
    return appended.finally(() => {
      this.pendingBytes -= size;
    });
  }

  async #appendQueued(): Promise<void> {
    this.#isTurnTaken = false;
    const queued = this.#queue;
    if (queued.length === 0) return;
    this.#queue = [];
    try {
      const extent = this.extent();
      const offsets = queued.map(() => [] as number[]);
      await this.#commit(() => {
        for (const [i, { bytes, batches }] of queued.entries()) {
          for (const [k, record] of bytes.entries()) {
            const batch = batches[k];
            if (!batch) continue;
            this.#put(extent.next, record, batch.isComplete);
            this.#mark(batch, extent.next);
            offsets[i]?.push(extent.next);
            extent.next += 1;
            extent.bytes += record.length;
          }
        }
        this.#meta.put('extent', extent);
      });
      for (const [i, { resolve }] of queued.entries()) resolve(offsets[i] ?? []);
      this.#wake();
    } catch (thrown) {
      for (const { reject } of queued) reject(thrown);
    }
  }

  discardOpen(): Promise<void> {
    return this.#write(async () => {
      const extent = this.extent();
      const last = this.last();
      if (!last || this.#index.get(last.offset)?.[2] === 1) return;
      const empty = { items: [], position: last.position, timeMicros: last.timeMicros, isComplete: true };
      await this.#commit(() => {
        const hollow = encodeBatch(empty);
        let lastWhole = last.offset;
        for (let offset = last.offset; offset >= extent.first; offset--) {
          const entry = this.#index.get(offset);
          if (!entry || entry[2] === 1) break;
          this.#put(offset, hollow, true, entry[1]);
          lastWhole = offset - 1;
          extent.bytes += hollow.length - entry[0];
        }
        const mark = encodeBatch(empty, true);
        this.#put(extent.next, mark, true);
        extent.next += 1;
        extent.bytes += mark.length;
        this.#meta.put('extent', extent);
        for (const { key, value } of this.#snapshots.getRange()) {
          // A chunked one goes on after its last whole chunk, unless it began in the part that is void.
          const isVoid = !value.isChunked || value.offset > lastWhole;
          if (!key.startsWith('open/') || !isVoid) continue;
          this.#snapshots.remove(key);
          this.#begun.delete(key.slice('open/'.length));
        }
      });
      this.#wake();
    });
  }

  async *read(fromOffset: number, signal: AbortSignal): AsyncGenerator<LogRecord> {
    let offset = fromOffset;
    while (!signal.aborted) {
      const bytes = this.#records.getBinary(offset);
      if (bytes) {
        yield this.#record(offset, bytes);
        offset += 1;
        continue;
      }
      const { first } = this.extent();
      if (offset < first) {
        throw new DailiesError(
          'not_found',
          `The log of ${this.#name} no longer holds offset ${offset}: its retention has passed it (first kept: ${first}).`,
          { details: { topic: this.#name, offset, first } },
        );
      }
      await this.#woken(signal);
      if (this.#isReader) this.#env.resetReadTxn();
    }
  }

  /** Backwards from the last record; ends where retention meets it. */
  async *recent(): AsyncGenerator<LogRecord> {
    for (let offset = this.extent().next - 1; offset >= 0; offset--) {
      const bytes = this.#records.getBinary(offset);
      if (!bytes) return;
      yield this.#record(offset, bytes);
    }
  }

  extent(): Extent {
    return { ...(this.#meta.get('extent') ?? { first: 0, next: 0, bytes: 0 }) };
  }

  last(): { offset: number; position: SourcePosition; timeMicros: bigint } | null {
    const offset = this.extent().next - 1;
    const bytes = offset < 0 ? undefined : this.#records.getBinary(offset);
    if (!bytes) return null;
    const { position, timeMicros } = this.#named(offset, () => decodeHeader(bytes));
    return { offset, position, timeMicros };
  }

  snapshotOf(table: string): { offset: number; generation: number; isFinished: boolean } | null {
    const { first } = this.extent();
    for (const kind of ['open', 'done'] as const) {
      const mark = this.#snapshots.get(`${kind}/${table}`);
      if (mark && mark.offset >= first) {
        return { offset: mark.offset, generation: mark.generation, isFinished: kind === 'done' };
      }
    }
    return null;
  }

  snapshotProgress(table: string): SnapshotProgress | null {
    const open = this.#snapshots.get(`open/${table}`);
    const mark = open ?? this.#snapshots.get(`done/${table}`);
    return mark ? { generation: mark.generation, isFinished: mark !== open, chunk: open?.chunk ?? null } : null;
  }

  commitGroups(offsets: ReadonlyMap<string, number>): Promise<void> {
    return this.#write(() =>
      this.#commit(() => {
        for (const [group, offset] of offsets) this.#groups.put(group, offset);
      }),
    );
  }

  groups(): Map<string, number> {
    return new Map([...this.#groups.getRange()].map(({ key, value }) => [key, value]));
  }

  removeGroup(group: string): Promise<void> {
    return this.#write(() =>
      this.#commit(() => {
        this.#groups.remove(group);
      }),
    );
  }

  /** Takes at most a few hundred records per commit, so that appends in between wait little. */
  async trim(retention: Retention, nowMs: number): Promise<void> {
    for (let hasMore = true; hasMore; ) {
      hasMore = await this.#write(async () => {
        const extent = this.extent();
        const passed = Math.min(...this.groups().values(), extent.next);
        const gone: number[] = [];
        while (extent.first < extent.next - 1 && gone.length < trimAtOnce) {
          const entry = this.#index.get(extent.first);
          if (!entry) break;
          const isOld = nowMs - entry[1] > retention.maxAgeMs || extent.bytes > retention.maxBytes;
          if (!(extent.first < passed && isOld) && extent.bytes <= retention.hardCapBytes) break;
          gone.push(extent.first);
          extent.first += 1;
          extent.bytes -= entry[0];
        }
        if (gone.length === 0) return false;
        await this.#commit(() => {
          for (const offset of gone) {
            this.#records.remove(offset);
            this.#index.remove(offset);
          }
          this.#meta.put('extent', extent);
        });
        return gone.length === trimAtOnce;
      });
    }
  }

  async close(): Promise<void> {
    this.#watcher?.close();
    await this.#writes;
    await this.#env.close();
  }

  #put(offset: number, bytes: Buffer, isComplete: boolean, atMs = this.#now().getTime()): void {
    this.#records.put(offset, bytes);
    this.#index.put(offset, [bytes.length, atMs, isComplete ? 1 : 0]);
  }

  #mark(batch: Batch, offset: number): void {
    for (const item of batch.items) {
      if (item.kind === 'snapshot-begin') {
        this.#open(item.table, { offset, generation: item.generation, isChunked: item.isChunked });
      } else if (item.kind === 'snapshot-chunk') {
        const { cursor, rows, estimatedRows } = item;
        const mark = this.#begun.get(item.table) ?? this.#snapshots.get(`open/${item.table}`);
        if (mark?.generation !== item.generation) continue;
        this.#open(item.table, { ...mark, chunk: { cursor, rows, estimatedRows } });
      } else if (item.kind === 'snapshot-end') {
        const mark = this.#begun.get(item.table) ?? this.#snapshots.get(`open/${item.table}`);
        if (mark) {
          const { offset: begun, generation } = mark;
          this.#snapshots.put(`done/${item.table}`, { offset: begun, generation });
        }
        this.#snapshots.remove(`open/${item.table}`);
        this.#begun.delete(item.table);
      }
    }
  }

  #open(table: string, mark: SnapshotMark): void {
    this.#snapshots.put(`open/${table}`, mark);
    this.#begun.set(table, mark);
  }

  /** Puts and removes of `change` become visible and durable at once. */
  async #commit(change: () => void): Promise<void> {
    try {
      const committed = this.#env.batch(change);
      await committed;
      await this.#env.flushed;
    } catch (thrown) {
      throw writeError(this.#name, thrown);
    }
  }

  #write<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#writes.then(action);
    this.#writes = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  #record(offset: number, bytes: Buffer): LogRecord {
    const header = this.#named(offset, () => decodeHeader(bytes));
    return {
      offset,
      bytes: bytes.length,
      ...header,
      batch: (only) => this.#named(offset, () => decodeBatch(bytes, only)),
    };
  }

  #named<T>(offset: number, decode: () => T): T {
    try {
      return decode();
    } catch (thrown) {
      const error = toDailiesError(thrown, 'log_corrupt');
      throw new DailiesError('log_corrupt', `Offset ${offset} of the log of ${this.#name}: ${error.message}`, {
        cause: thrown,
        details: { topic: this.#name, offset },
      });
    }
  }

  #wake(): void {
    for (const wake of this.#wakers) wake();
  }

  /** Resolves at the next wake, or when aborted. */
  #woken(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}

function writeError(topic: string, thrown: unknown): DailiesError {
  const code = (thrown as { code?: unknown } | null)?.code;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const isFull = code === 'ENOSPC' || code === 28 || message.includes('No space left');
  return new DailiesError(
    isFull ? 'disk_full' : 'internal',
    isFull ? `The disk is full: the log of ${topic} cannot grow.` : `The log of ${topic} cannot be written: ${message}`,
    { cause: thrown, details: { topic } },
  );
}
