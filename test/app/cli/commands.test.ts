import { expect, test } from 'vitest';
import type { Client } from '#app/cli/client.ts';
import { query, status } from '#app/cli/commands.ts';

const answering = (answers: Record<string, unknown>): Client => ({
  json: async <T>(method: string, address: string) => answers[`${method} ${address}`] as T,
  stream: () => Promise.reject(new Error('not asked for')),
  as: () => answering(answers),
});

test('status shows what is not known of a lag as such', async () => {
  const part = { state: 'failed', rows: 0, lag: { seconds: null, bytes: null }, lastError: { message: 'gone' } };
  const late = { state: 'running', rows: 3, lag: { seconds: 1.25, bytes: null }, lastError: null };
  const warnings = [{ code: 'slot_behind', message: '700 MB are kept.', since: '2026-11-25T11:00:00.000Z' }];
  const document = {
    url: 'http://localhost',
    sources: { film: { ...part, warnings } },
    pipelines: { films: late },
    sinks: {},
  };
  const lines: string[] = [];
  await status(answering({ 'GET /api/v1/status': document }), {}, (line) => lines.push(line));
  expect(lines.join('\n')).toMatch(/film +failed +0 +not known +gone/);
  expect(lines).toContain('warning: source film, since 2026-11-25T11:00:00.000Z: 700 MB are kept.');
  expect(lines.join('\n')).toMatch(/films +running +3 +1\.3 s, \? B/);
});

test('a query that fails is told with its place in the SQL', async () => {
  const error = { code: 'sql_invalid', message: 'syntax error', line: 2, column: 5 };
  const client = answering({
    'POST /api/v1/queries': { id: 'q' },
    'GET /api/v1/queries/q': { state: 'failed', columns: [], rowCount: 0, error },
  });
  const run = query(client, 'SELECT\n  x y z', { format: 'table' }, () => undefined, new AbortController().signal);
  await expect(run).rejects.toThrow('line 2, column 5: syntax error');
});
