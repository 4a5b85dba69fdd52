import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DailiesError } from '#catalog/error.ts';
import { wait } from '#catalog/wait.ts';
import { type LinePlace, parseRecordLine } from './recorded-record.ts';
import type { PartitionExtent, PartitionPlace, TopicReader, TopicRecord } from './topic-reader.ts';

const fileName = /^(?<topic>[A-Za-z\d._-]{1,249})-(?<partition>\d{1,9})\.ndjson$/;
const newline = 0x0a;
const blockBytes = 64 << 10;
/** A line beyond it is refused; Kafka itself takes a mebibyte unless it is told otherwise. */
const maxLineBytes = 256 << 20;

/** Where reading a partition stopped, so that the next read need not look for it. */
interface Cursor {
  offset: number;
  byte: number;
}

/** A folder with a file for each partition of each topic, `<topic>-<partition>.ndjson`, that only ever grows. */
export class RecordedTopics implements TopicReader {
  readonly #folder: string;
  readonly #cursors = new Map<string, Cursor>();
  #watcher: FSWatcher | null = null;
  #isChanged = false;
  #wake: () => void = () => undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async extents(signal: AbortSignal): Promise<PartitionExtent[]> {
    const extents: PartitionExtent[] = [];
    for (const { topic, partition } of await this.#partitions()) {
      signal.throwIfAborted();
      extents.push(await this.#withFile(topic, partition, (file) => extentOf(file, topic, partition)));
    }
    return extents;
  }

  async read({ topic, partition, offset }: PartitionPlace, maxBytes: number): Promise<TopicRecord[]> {
    return this.#withFile(topic, partition, async (file) => {
      const name = nameOf(topic, partition);
      const known = this.#cursors.get(name);
      const { size } = await file.stat();
      const start =
        known?.offset === offset && known.byte <= size ? known.byte : await seek(file, { topic, partition }, offset);
      const { bytes, end } = await readLines(file, start, maxBytes, { topic, partition, byte: start });
      const records = [...linesOf(bytes, { topic, partition, byte: start })].filter(
        (record) => record.offset >= offset,
      );
      this.#cursors.set(name, { offset: (records.at(-1)?.offset ?? offset - 1) + 1, byte: end });
      return records;
    });
  }

  async readLast(topic: string, partition: number, maxBytes: number): Promise<TopicRecord[]> {
    return this.#withFile(topic, partition, async (file) => {
      const end = await wholeEnd(file);
      for (let span = Math.min(maxBytes, end); ; span = Math.min(span * 4, end)) {
        const bytes = await readSpan(file, end - span, end);
        const at = end - span === 0 ? 0 : bytes.indexOf(newline) + 1;
        if (at < bytes.length || span === end || span > maxLineBytes)
          return [...linesOf(bytes.subarray(at), { topic, partition, byte: end - span + at })];
      }
    });
  }

  async changed(ms: number, signal: AbortSignal): Promise<void> {
    this.#watcher ??= this.#watch();
    if (!this.#isChanged) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await wait(ms, AbortSignal.any([signal, woken.signal]));
      this.#wake = () => undefined;
    }
    this.#isChanged = false;
  }

  /** Null where the folder cannot be watched, as when it is gone: whoever reads next hears why. */
  #watch(): FSWatcher | null {
    try {
      const watcher = watch(this.#folder, { persistent: false }, () => {
        this.#isChanged = true;
        this.#wake();
      });
      return watcher.on('error', () => {
        this.#watcher = null;
        this.#wake();
      });
    } catch (thrown) {
      if (!isSystemError(thrown)) throw thrown;
      return null;
    }
  }

  async close(): Promise<void> {
    this.#watcher?.close();
    this.#watcher = null;
  }

  async #partitions(): Promise<{ topic: string; partition: number }[]> {
    const names = await this.#reach(readdir(this.#folder));
    return names
      .flatMap((name) => {
        const groups = fileName.exec(name)?.groups;
        return groups?.topic ? [{ topic: groups.topic, partition: Number(groups.partition) }] : [];
      })
      .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
  }

  async #withFile<T>(topic: string, partition: number, use: (file: FileHandle) => Promise<T>): Promise<T> {
    const file = await this.#reach(open(join(this.#folder, `${nameOf(topic, partition)}.ndjson`), 'r'));
    try {
      return await this.#reach(use(file));
    } finally {
      await file.close();
    }
  }

  async #reach<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (thrown) {
      if (thrown instanceof DailiesError || !isSystemError(thrown)) throw thrown;
      throw new DailiesError(
        'source_unreachable',
        `The recorded topics at ${this.#folder} cannot be read: ${thrown.code} (${thrown.syscall}).`,
        { cause: thrown },
      );
    }
  }
}

function nameOf(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && 'syscall' in thrown;
}

async function extentOf(file: FileHandle, topic: string, partition: number): Promise<PartitionExtent> {
  const end = await wholeEnd(file);
  if (end === 0) return { topic, partition, first: 0, next: 0, bytes: 0 };
  const first = await lineAt(file, 0, { topic, partition });
  const last = await lineBefore(file, end, { topic, partition });
  return { topic, partition, first: first?.record.offset ?? 0, next: last.offset + 1, bytes: end };
}

/** Behind the last line that is whole: one without its end is still being written. */
async function wholeEnd(file: FileHandle): Promise<number> {
  let { size: end } = await file.stat();
  while (end > 0) {
    const start = Math.max(0, end - blockBytes);
    const at = (await readSpan(file, start, end)).lastIndexOf(newline);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

/** The record of the line that ends at `end`, behind its newline. */
async function lineBefore(file: FileHandle, end: number, place: Omit<LinePlace, 'byte'>): Promise<TopicRecord> {
  let start = end - 1;
  for (;;) {
    const from = Math.max(0, start - blockBytes);
    const at = (await readSpan(file, from, start)).lastIndexOf(newline);
    start = at >= 0 ? from + at + 1 : from;
    if (at >= 0 || from === 0) break;
  }
  return parseRecordLine(await readSpan(file, start, end - 1), { ...place, byte: start });
}

/** The record of the line that begins at `byte`, and where the next one does; null without a whole line. */
async function lineAt(
  file: FileHandle,
  byte: number,
  place: Omit<LinePlace, 'byte'>,
): Promise<{ record: TopicRecord; end: number } | null> {
  const { bytes, end } = await readLines(file, byte, 1, { ...place, byte });
  const at = bytes.indexOf(newline);
  if (at < 0) return null;
  return {
    record: parseRecordLine(bytes.subarray(0, at), { ...place, byte }),
    end: Math.min(end, byte + at + 1),
  };
}

/** Where the first line begins whose offset is `offset` or more: offsets only grow, so halves are thrown away. */
async function seek(file: FileHandle, place: Omit<LinePlace, 'byte'>, offset: number): Promise<number> {
  const end = await wholeEnd(file);
  let low = 0;
  let high = end;
  // Invariant: the line sought begins at `low` or behind it, and at `high` or before it.
  while (high - low > blockBytes) {
    const middle = low + Math.floor((high - low) / 2);
    const begin = await nextLine(file, middle, high);
    if (begin >= high) {
      high = middle;
      continue;
    }
    const line = await lineAt(file, begin, place);
    if (line && line.record.offset < offset) low = line.end;
    else high = begin;
  }
  while (low < end) {
    const line = await lineAt(file, low, place);
    if (!line || line.record.offset >= offset) break;
    low = line.end;
  }
  return low;
}

/** Where the first line at or behind `byte` begins, `high` if there is none before it. */
async function nextLine(file: FileHandle, byte: number, high: number): Promise<number> {
  for (let start = byte; start < high; start += blockBytes) {
    const at = (await readSpan(file, start, Math.min(high, start + blockBytes))).indexOf(newline);
    if (at >= 0) return start + at + 1;
  }
  return high;
}

/** Whole lines from `start` on: about `maxBytes`, and at least one if there is one. */
async function readLines(
  file: FileHandle,
  start: number,
  maxBytes: number,
  place: LinePlace,
): Promise<{ bytes: Buffer; end: number }> {
  const { size } = await file.stat();
  for (let span = Math.max(maxBytes, blockBytes); ; span *= 4) {
    const bytes = await readSpan(file, start, Math.min(size, start + span));
    const end = bytes.lastIndexOf(newline) + 1;
    if (end > 0 || start + span >= size) return { bytes: bytes.subarray(0, end), end: start + end };
    if (span > maxLineBytes) {
      const { topic, partition, byte } = place;
      throw new DailiesError(
        'value_unsupported',
        `The record of ${topic}, partition ${partition}, that begins at byte ${byte} of its file has more than ${maxLineBytes >> 20} MiB.`,
        { details: { topic, partition, byte } },
      );
    }
  }
}

async function readSpan(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(end - start);
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

function* linesOf(bytes: Buffer, place: LinePlace): Generator<TopicRecord> {
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(newline, start);
    const end = found < 0 ? bytes.length : found;
    // An empty line is none.
    if (end > start) yield parseRecordLine(bytes.subarray(start, end), { ...place, byte: place.byte + start });
    start = end + 1;
  }
}
