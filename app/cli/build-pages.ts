import { spawn } from 'node:child_process';
import path from 'node:path';
import { DailiesError } from '#catalog/error.ts';

/** The checkout's folder. */
export const root = path.resolve(import.meta.dirname, '../..');

/** Builds the pages for production into `.next`. */
export async function buildPages(): Promise<void> {
  const build = spawn(process.execPath, [path.join(root, 'node_modules/next/dist/bin/next'), 'build'], {
    cwd: root,
    env: { ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [build.stdout, build.stderr]) {
    stream.on('data', (chunk) => {
      output = (output + chunk).slice(-4_000);
    });
  }
  const code = await new Promise<number | null>((resolve) => build.once('close', resolve));
  if (code !== 0) throw new DailiesError('internal', `The pages could not be built:\n${output}`);
}

if (import.meta.main) await buildPages();
