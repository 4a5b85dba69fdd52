import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';

test('a process is ended when it holds more memory than it may, though its main thread is busy', async () => {
  const watch = new URL('../../../catalog/query/watch-memory.ts', import.meta.url).href;
  const code = `
    const { watchMemory } = await import(${JSON.stringify(watch)});
    watchMemory(400 * 2 ** 20);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const held = [];
    for (;;) if (held.length < 800) held.push(Buffer.alloc(2 ** 20, 1));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
});
