import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { FieldType, Schema } from '#catalog/schemas/schema.ts';
import { type Engine, findEngine } from '#test/fixtures/engine.ts';
import type { CanonicalValue } from './canonical.ts';

/** A column that equals a value, told as the text of an SQL literal (bytes in hex), or that is NULL. */
export interface Condition {
  column: string;
  type: FieldType;
  text: string | null;
}

/** An engine at work in a process of its own: it starts once and reads table after table through a catalog. */
export interface EngineReader extends AsyncDisposable {
  /** Rows for which all conditions hold, in no order, values in the order of the schema. Throws the engine's own error. */
  read(name: string, schema: Schema, where?: readonly Condition[]): Promise<CanonicalValue[][]>;
  /** For engines that also write: what their script understands. Throws the engine's own error. */
  do(what: unknown): Promise<unknown>;
}

export async function startReader(
  engine: Engine,
  catalog: { uri: string; token?: string },
  environment: Record<string, string> = {},
): Promise<EngineReader> {
  const program = findEngine(engine);
  if (program === null) throw new Error(`The engine ${engine} is not installed: run test/engines/install ${engine}.`);
  const python = basename(program).startsWith('python') ? program : 'python3';
  const script = join(import.meta.dirname, 'readers', `read_${engine.replaceAll('-', '_')}.py`);
  const reader = spawn(python, [script], {
    env: {
      ...process.env,
      TZ: 'UTC',
      PYTHONDONTWRITEBYTECODE: '1',
      PROGRAM: program,
      CATALOG_URI: catalog.uri,
      CATALOG_TOKEN: catalog.token ?? 'secret-of-the-test',
      ...environment,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const told = lastOutput(reader);
  const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<Record<string, unknown>> => {
    const line = await lines.next();
    if (line.done) throw new Error(`${engine} ended: ${told()}`);
    return JSON.parse(line.value);
  };
  const ask = async (request: unknown, what: string) => {
    reader.stdin.write(`${JSON.stringify(request)}\n`);
    const { error, ...rest } = await answer();
    if (error !== undefined) throw new Error(`${engine} cannot ${what}: ${error}`);
    return rest;
  };
  await answer();
  return {
    read: async (name, schema, where) => {
      const fields = schema.fields.map((field) => ({ name: field.name, type: field.type }));
      const { rows } = await ask({ name, fields, where: where ?? null }, `read ${name}`);
      return rows as CanonicalValue[][];
    },
    do: async (what) => (await ask({ do: what }, 'do what it should')).done,
    [Symbol.asyncDispose]: async () => {
      if (reader.exitCode !== null || reader.signalCode !== null) return;
      const ended = once(reader, 'exit');
      reader.stdin.end();
      // Some hang at their own end; all that counts is told by then.
      const patience = setTimeout(() => reader.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(patience);
    },
  };
}

/** The end of what a process has told on standard error. */
function lastOutput(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-4000);
  });
  return () => text.trim();
}
