import { chmod, mkdir, mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { socketPath } from '#app/server/socket-path.ts';

const long = `/${'a'.repeat(120)}`;
let temporary: string;

beforeAll(async () => {
  temporary = await mkdtemp(path.join(os.tmpdir(), 'dailies-socket-'));
});
afterAll(() => rm(temporary, { recursive: true, force: true }));

test('a socket stands in its home, or in a folder that only its user may open', async () => {
  expect(socketPath('/short')).toBe('/short/dailies.sock');
  const one = socketPath(long, 'dailies.sock', temporary);
  expect(one).not.toBe(socketPath(long, 'up.lock', temporary));
  expect((await stat(path.dirname(one))).mode & 0o777).toBe(0o700);
});

test('a folder that others may write into, or a link to one, holds no socket', async () => {
  const folder = path.dirname(socketPath(long, 'dailies.sock', temporary));
  await chmod(folder, 0o777);
  expect(() => socketPath(long, 'dailies.sock', temporary)).toThrow('set DAILIES_HOME to a shorter path');
  await rm(folder, { recursive: true });
  await mkdir(path.join(temporary, 'elsewhere'), { mode: 0o700 });
  await symlink(path.join(temporary, 'elsewhere'), folder);
  expect(() => socketPath(long, 'dailies.sock', temporary)).toThrow('set DAILIES_HOME to a shorter path');
});
