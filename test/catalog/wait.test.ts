import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { unlessAborted, wait, within } from '#catalog/wait.ts';

const never = new Promise<never>(() => undefined);

describe('waiting', () => {
  test('ends at an abort, or at once when aborted before, without an error', async () => {
    const stop = new AbortController();
    const waiting = wait(2 ** 30, stop.signal);
    stop.abort();
    await waiting;
    await wait(2 ** 30, stop.signal);
  });

  test('ends after its time and leaves no listener', async () => {
    const { signal } = new AbortController();
    await wait(1, signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('for a promise, gives what it gives, or says that it is late', async () => {
    expect(await within(Promise.resolve(7), 2 ** 30)).toBe(7);
    expect(await within(never, 1)).toBe('late');
    await expect(within(Promise.reject(new Error('broken')), 2 ** 30)).rejects.toThrow('broken');
  });

  test('for a promise, rejects with the reason of an abort, now or before', async () => {
    const stop = new AbortController();
    expect(await unlessAborted(Promise.resolve(7), stop.signal)).toBe(7);
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
    const waiting = unlessAborted(never, stop.signal);
    stop.abort(new Error('told to stop'));
    await expect(waiting).rejects.toThrow('told to stop');
    await expect(unlessAborted(never, stop.signal)).rejects.toThrow('told to stop');
  });
});
