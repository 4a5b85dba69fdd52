import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { isProcessAlive } from '../../process-alive.ts';

/*
 * A folder of one process, removed by the next process that starts if its owner has ended by whatever cause. Its name is
 * `<pid>-<when the process began>-<random>`: a pid alone comes again, in containers at every start.
 */

/** Makes a folder of this process below `parent`, and removes those of processes that have ended. */
export function makeProcessFolder(parent: string): string {
  fs.mkdirSync(parent, { recursive: true });
  for (const name of fs.readdirSync(parent)) {
    if (!isOwned(name)) fs.rmSync(path.join(parent, name), { recursive: true, force: true });
  }
  const folder = path.join(parent, `${process.pid}-${beginOf(process.pid)}-${randomBytes(4).toString('hex')}`);
  fs.mkdirSync(folder);
  return folder;
}

function isOwned(name: string): boolean {
  const [pid = '', begin] = name.split('-');
  return isProcessAlive(Number(pid)) && beginOf(Number(pid)) === begin;
}

/** Clock ticks since the machine's start at which the process began; 0 where the system does not tell. */
function beginOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The program's name, in brackets, may itself hold spaces: fields are counted after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '0';
  } catch (thrown) {
    // Without /proc, or of a process that has just ended.
    if (thrown instanceof Error && 'code' in thrown && ['ENOENT', 'ESRCH'].includes(String(thrown.code))) return '0';
    throw thrown;
  }
}
