import { expect, test } from 'vitest';
import type { Client } from '#app/cli/client.ts';
import { maintain } from '#app/cli/maintain.ts';

const answering = (run: unknown): Client => ({
  json: async <T>(method: string, address: string) => {
    const answers: Record<string, unknown> = {
      'POST /api/v1/tables/production.movie/maintenance': { id: 'r' },
      'GET /api/v1/tables/production.movie/maintenance/r': run,
    };
    return answers[`${method} ${address}`] as T;
  },
  stream: () => Promise.reject(new Error('not asked for')),
  as: () => answering(run),
});

test('maintain says what was done, in words or as JSON', async () => {
  const run = {
    state: 'succeeded',
    error: null,
    result: {
      compaction: { rewrites: 1, files: 17, newFiles: 1, bytes: 1_234_000, newBytes: 400_000, droppedRows: 12 },
      orphans: { removed: 2, removedBytes: 90, files: 40 },
      notes: ['A note.'],
    },
  };
  const lines: string[] = [];
  await maintain(answering(run), 'production.movie', {}, (line) => lines.push(line));
  expect(lines).toEqual([
    'files: 17 rewritten as 1, 1.2 MB as 400.0 kB, 12 deleted rows dropped',
    'history: nothing is due',
    'orphans: 2 of 40 files removed, 90 B',
    'A note.',
  ]);
  const documents: string[] = [];
  await maintain(answering(run), 'production.movie', { json: true }, (line) => documents.push(line));
  expect(JSON.parse(documents.join('\n'))).toEqual({ state: 'succeeded', ...run.result });
});

test('maintain fails with the reason of the run', async () => {
  const run = { state: 'failed', result: {}, error: { message: 'The manifest x cannot be read.' } };
  const done = maintain(answering(run), 'production.movie', {}, () => undefined);
  await expect(done).rejects.toThrow('The manifest x cannot be read.');
});
