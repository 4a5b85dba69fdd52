import { mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DailiesError } from '#catalog/error.ts';
import type { Batch, SourcePosition } from '../event.ts';
import type { Log, LogRecord, SnapshotProgress } from '../log.ts';
import { type Retention, Topic } from './topic.ts';

export interface EmbeddedLogOptions {
  /** A folder; each topic is an LMDB environment in it. */
  path: string;
  retention?: Partial<Retention>;
  /** True in a process that only reads topics which another process appends to; it is woken by that one's writes. */
  isReader?: boolean;
  now?: () => Date;
}

export const defaultRetention: Retention = {
  maxAgeMs: 24 * 3600_000,
  maxBytes: 4 * 2 ** 30,
  hardCapBytes: 64 * 2 ** 30,
};

/**
 * The log on LMDB, on this machine's disk. A commit is synced to disk before anybody, in this process or another, can
 * see it, so that readers never meet a record that a power cut may take back.
 */
export class EmbeddedLog implements Log {
  readonly #options: Required<EmbeddedLogOptions> & { retention: Retention };
  readonly #topics = new Map<string, Topic>();
  #isClosed = false;

  constructor(options: EmbeddedLogOptions) {
    this.#options = {
      path: options.path,
      retention: { ...defaultRetention, ...options.retention },
      isReader: options.isReader ?? false,
      now: options.now ?? (() => new Date()),
    };
    mkdirSync(options.path, { recursive: true });
  }

  append(topic: string, batches: readonly Batch[]): Promise<number[]> {
    return this.#topic(topic).append(batches);
  }

  pendingBytes(topic: string): number {
    return this.#topic(topic).pendingBytes;
  }

  discardOpen(topic: string): Promise<void> {
    return this.#topic(topic).discardOpen();
  }

  read(topic: string, fromOffset: number, signal: AbortSignal): AsyncIterable<LogRecord> {
    return this.#topic(topic).read(fromOffset, signal);
  }

  recent(topic: string): AsyncIterable<LogRecord> {
    return this.#topic(topic).recent();
  }

  async extent(topic: string): Promise<{ first: number; next: number; bytes: number }> {
    return this.#topic(topic).extent();
  }

  async last(topic: string): Promise<{ offset: number; position: SourcePosition; timeMicros: bigint } | null> {
    return this.#topic(topic).last();
  }

  async snapshotOf(topic: string, table: string) {
    return this.#topic(topic).snapshotOf(table);
  }

  async snapshotProgress(topic: string, table: string): Promise<SnapshotProgress | null> {
    return this.#topic(topic).snapshotProgress(table);
  }

  commitGroups(topic: string, offsets: ReadonlyMap<string, number>): Promise<void> {
    return this.#topic(topic).commitGroups(offsets);
  }

  async groups(topic: string): Promise<Map<string, number>> {
    return this.#topic(topic).groups();
  }

  removeGroup(topic: string, group: string): Promise<void> {
    return this.#topic(topic).removeGroup(group);
  }

  trim(topic: string): Promise<void> {
    return this.#topic(topic).trim(this.#options.retention, this.#options.now().getTime());
  }

  async removeTopic(topic: string): Promise<void> {
    await this.#topics.get(topic)?.close();
    this.#topics.delete(topic);
    await rm(this.#folder(topic), { recursive: true, force: true });
  }

  /** Names of the topics on disk. */
  topics(): string[] {
    return readdirSync(this.#options.path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => decodeURIComponent(entry.name));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#topics.values()].map((topic) => topic.close()));
    this.#topics.clear();
  }

  #topic(name: string): Topic {
    const known = this.#topics.get(name);
    if (known) return known;
    if (this.#isClosed) throw new DailiesError('cancelled', 'The log is closed.');
    const topic = new Topic({
      name,
      folder: this.#folder(name),
      isReader: this.#options.isReader,
      now: this.#options.now,
    });
    this.#topics.set(name, topic);
    return topic;
  }

  #folder(topic: string): string {
    return join(this.#options.path, encodeURIComponent(topic).replaceAll('.', '%2E'));
  }
}
