import fs from 'node:fs/promises';
import path from 'node:path';
import { isProcessAlive } from '../process-alive.ts';

export interface Retention {
  count: number;
  bytes: number;
  ageMs: number;
}

/**
 * The folders of results, one a query, named by its id. Several processes may share them: each folder says which process
 * works on it. Removed oldest first, never while its process works on it.
 */
export class ResultStore {
  readonly dir: string;
  readonly #retention: Retention;
  readonly #now: () => Date;

  constructor(dir: string, retention: Retention, now: () => Date) {
    this.dir = path.resolve(dir);
    this.#retention = retention;
    this.#now = now;
  }

  pathOf(id: string): string {
    if (!/^[0-9a-f-]{36}$/.test(id)) throw new Error('Not the id of a query.');
    return path.join(this.dir, id);
  }

  /** Where masks of deleted rows may be written for the query; not made, and gone when its work is over. */
  masksOf(id: string): string {
    return path.join(this.pathOf(id), 'masks');
  }

  /** Makes the folder, marked as worked on by this process. */
  async begin(id: string): Promise<string> {
    const dir = this.pathOf(id);
    await fs.mkdir(dir, { recursive: true });
    await fs.writeFile(path.join(dir, 'process'), await processMark(process.pid));
    return dir;
  }

  /** The work is over: what it leaves besides the result is removed. */
  async end(id: string): Promise<void> {
    const dir = this.pathOf(id);
    for (const folder of [path.join(dir, 'temp'), this.masksOf(id)]) {
      await fs.rm(folder, { recursive: true, force: true });
    }
    await fs.rm(path.join(dir, 'process'), { force: true });
  }

  /** `gone` where there is no folder, `idle` where nobody works on it (any more). */
  async stateOf(id: string): Promise<'working' | 'idle' | 'gone'> {
    const dir = this.pathOf(id);
    const mark = await fs.readFile(path.join(dir, 'process'), 'utf8').catch(unlessGone(null));
    if (mark === null) return (await fs.stat(dir).catch(unlessGone(null))) === null ? 'gone' : 'idle';
    return (await isAlive(mark)) ? 'working' : 'idle';
  }

  /** Removes what is beyond the retention, oldest first. */
  async prune(): Promise<void> {
    const results: { id: string; bytes: number; changedMs: number }[] = [];
    for (const id of await this.#ids()) {
      if ((await this.stateOf(id)) !== 'working') results.push({ id, ...(await measure(this.pathOf(id))) });
    }
    results.sort((a, b) => b.changedMs - a.changedMs);
    const oldest = this.#now().getTime() - this.#retention.ageMs;
    let bytes = 0;
    for (const [index, result] of results.entries()) {
      bytes += result.bytes;
      // The newest stays whatever its size: somebody is about to look at it.
      const isBeyond =
        index >= this.#retention.count || (index > 0 && bytes > this.#retention.bytes) || result.changedMs < oldest;
      if (isBeyond) await fs.rm(this.pathOf(result.id), { recursive: true, force: true });
    }
  }

  async #ids(): Promise<string[]> {
    const names = await fs.readdir(this.dir).catch(unlessGone([]));
    return names.filter((name) => /^[0-9a-f-]{36}$/.test(name));
  }
}

/** Others remove results too: what is gone when it is looked at was not there. Any other error is one. */
function unlessGone<T>(instead: T): (thrown: unknown) => T {
  return (thrown) => {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return instead;
    throw thrown;
  };
}

async function measure(dir: string): Promise<{ bytes: number; changedMs: number }> {
  let bytes = 0;
  let changedMs = 0;
  for (const entry of await fs.readdir(dir, { recursive: true, withFileTypes: true }).catch(unlessGone([]))) {
    const stat = await fs.stat(path.join(entry.parentPath, entry.name)).catch(unlessGone(null));
    if (stat?.isFile()) bytes += stat.size;
  }
  const stat = await fs.stat(dir).catch(unlessGone(null));
  changedMs = stat?.mtimeMs ?? 0;
  return { bytes, changedMs };
}

/** A process id alone may be another's after a restart: on Linux the mark holds the time it was started, too. */
async function processMark(pid: number): Promise<string> {
  return `${pid} ${await startTime(pid)}`;
}

async function isAlive(mark: string): Promise<boolean> {
  const pid = Number(mark.split(' ')[0]);
  return isProcessAlive(pid) && mark === (await processMark(pid));
}

/** Field 22 of proc_pid_stat(5); empty where there is no /proc. */
async function startTime(pid: number): Promise<string> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(unlessGone(''));
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
