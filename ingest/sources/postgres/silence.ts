import type pg from 'pg';
import { wire } from './connection.ts';

const pingsPerSilence = 8;

/**
 * A host that froze or fell off the network ends no connection: where `client` has no answer within `silentMs`, all of
 * `clients` are cut, so that whoever waits for one hears of it. Until the timer is cleared.
 */
export function cutWhenSilent(client: pg.Client, clients: ReadonlySet<pg.Client>, silentMs: number): NodeJS.Timeout {
  let askedMs: number | null = null;
  const answered = () => {
    askedMs = null;
  };
  return setInterval(() => {
    if (askedMs === null) {
      askedMs = performance.now();
      // A failure is told by the next statement that needs the connection.
      client.query('SELECT').then(answered, answered);
    } else if (performance.now() - askedMs > silentMs) {
      for (const each of clients) wire(each).stream.destroy();
    }
  }, silentMs / pingsPerSilence);
}
