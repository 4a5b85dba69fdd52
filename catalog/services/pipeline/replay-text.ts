import type { ReplayRecord } from './replay-record.ts';

/** A replay in one sentence's words, for people. */
export function replayText({ state, from, key, events, error, askedAt, endedAt }: ReplayRecord): string {
  const what = `changes${key === null ? '' : ` of ${key}`}${from === null ? '' : ` since ${from}`}`;
  switch (state) {
    case 'waiting':
      return `a replay of ${what} waits, asked for at ${askedAt}`;
    case 'running':
      return `${what} are being applied again, asked for at ${askedAt}`;
    case 'done':
      return `${events.toLocaleString('en-US')} ${what} were applied again at ${endedAt}`;
    case 'failed':
      return `a replay of ${what} was given up at ${endedAt}: ${error?.message ?? 'its reason is not known'}`;
  }
}
