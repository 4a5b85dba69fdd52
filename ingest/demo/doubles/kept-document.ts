import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';

/** A JSON document kept in a file: written whole and atomically, soon after each change and before `flush` resolves. */
export class KeptDocument {
  readonly #file: string | null;
  readonly #content: () => unknown;
  #isDirty = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: string | null, content: () => unknown) {
    this.#file = file;
    this.#content = content;
  }

  changed(): void {
    if (this.#file === null || this.#isDirty) return;
    this.#isDirty = true;
    this.#writing = this.#writing.then(() => this.#write());
  }

  flush(): Promise<void> {
    return this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#file === null) return;
    this.#isDirty = false;
    const text = JSON.stringify(this.#content());
    await mkdir(path.dirname(this.#file), { recursive: true });
    const part = `${this.#file}.part`;
    const handle = await open(part, 'w');
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(part, this.#file);
  }
}

/** What an earlier process kept there; null where nothing was. */
export async function readKept(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return null;
    throw thrown;
  }
}
