import { expect, test } from 'vitest';
import { problemResponse } from '#app/server/problem.ts';
import { Prisma } from '#prisma/generated/client.ts';

const told = async (thrown: unknown) => {
  const faults: unknown[] = [];
  const answer = problemResponse(thrown, (fault) => faults.push(fault));
  return { status: answer.status, faults, body: (await answer.json()) as { detail: string } };
};

test('an outage of the state database is told as such', async () => {
  const outage = new Prisma.PrismaClientInitializationError('no host db-7 for secret', '7');
  const { status, faults, body } = await told(outage);
  expect(status).toBe(504);
  expect(body.detail).toBe('The state database does not answer. Try again in a moment.');
  expect(faults).toEqual([outage]);
});

test('what nobody foresaw keeps its words to the log', async () => {
  const { status, faults, body } = await told(new Error('a value of a cell'));
  expect(status).toBe(500);
  expect(body.detail).not.toContain('cell');
  expect(faults).toHaveLength(1);
});
