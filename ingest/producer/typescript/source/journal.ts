import { randomUUID } from 'node:crypto';
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Events of one `send`, as they stand in a request. */
export interface Accepted {
  table: string;
  /** NDJSON, one line an event. */
  lines: string;
  events: number;
}

/** What a journal holds: who the producer is, what was accepted and not answered yet, and how its last request was made. */
export interface JournalState {
  id: string;
  /** Sequence of the next request that is made. */
  next: bigint;
  /** Counts the sends that were accepted since the journal was made. */
  accepted: number;
  waiting: Accepted[];
  /** The request that was made and not answered: the first `sends` of `waiting`. */
  made: { sequence: bigint; sends: number } | null;
}

type Line =
  | { id: string; next: string; accepted: number }
  | { send: [table: string, lines: string, events: number] }
  | { request: string; sends: number }
  | { done: string; sends: number };

const compactAtBytes = 4 << 20;

/**
 * A file in which a producer keeps what it has accepted until Dailies has it: lines of JSON, each durable when `append`
 * resolves. A last line that a crash has cut is left out; it was never acknowledged to anybody.
 */
export class Journal {
  readonly #path: string;
  #file: FileHandle;
  #bytes: number;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path;
    this.#file = file;
    this.#bytes = bytes;
  }

  /** Makes the file if it is not there. `id` names a new producer; an old one keeps its own. */
  static async open(path: string, id = randomUUID() as string): Promise<{ journal: Journal; state: JournalState }> {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const state = replay(text, id);
    // Written anew: what is cut off must not stand before the next line.
    const { file, bytes } = await rewrite(path, state);
    return { journal: new Journal(path, file, bytes), state };
  }

  async append(lines: readonly Line[]): Promise<void> {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await this.#file.appendFile(text);
    await this.#file.datasync();
    this.#bytes += text.length;
  }

  /** Leaves out what was answered, once that is worth it. */
  async compact(state: JournalState): Promise<void> {
    if (this.#bytes >= compactAtBytes) await this.rewrite(state);
  }

  /** Replaces what the file holds, in one step. */
  async rewrite(state: JournalState): Promise<void> {
    const old = this.#file;
    const { file, bytes } = await rewrite(this.#path, state);
    this.#file = file;
    this.#bytes = bytes;
    await old.close();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function replay(text: string, id: string): JournalState {
  const state: JournalState = { id, next: 1n, accepted: 0, waiting: [], made: null };
  for (const entry of text.split('\n').slice(0, -1)) {
    const line = JSON.parse(entry) as Line;
    if ('id' in line) {
      state.id = line.id;
      state.next = BigInt(line.next);
      state.accepted = line.accepted;
    } else if ('send' in line) {
      const [table, lines, events] = line.send;
      state.waiting.push({ table, lines, events });
      state.accepted += 1;
    } else if ('request' in line) {
      state.made = { sequence: BigInt(line.request), sends: line.sends };
      state.next = BigInt(line.request) + 1n;
    } else {
      state.waiting.splice(0, line.sends);
      state.made = null;
      // One that was refused never counted.
      state.next = BigInt(line.done);
    }
  }
  return state;
}

async function rewrite(path: string, state: JournalState): Promise<{ file: FileHandle; bytes: number }> {
  const { made } = state;
  const lines: Line[] = [
    { id: state.id, next: String(made?.sequence ?? state.next), accepted: state.accepted - state.waiting.length },
    ...state.waiting.map(({ table, lines: body, events }): Line => ({ send: [table, body, events] })),
    ...(made ? [{ request: String(made.sequence), sends: made.sends }] : []),
  ];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const partial = `${path}.partial`;
  const file = await open(partial, 'w', 0o600);
  await file.writeFile(text);
  await file.sync();
  await rename(partial, path);
  const folder = await open(dirname(path), 'r');
  await folder.sync();
  await folder.close();
  return { file, bytes: text.length };
}
