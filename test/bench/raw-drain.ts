import { connect, wire } from '#ingest/sources/postgres/connection.ts';
import { CopyBoth } from '#ingest/sources/postgres/copy-both.ts';
import { parseLsn } from '#ingest/sources/postgres/lsn.ts';
import { startStatement } from '#ingest/sources/postgres/replication-wire.ts';

/** Reads a slot until so many changes have come, and looks at nothing but each message's kind: what no reader can beat. */
export async function rawDrain(
  url: string,
  options: { slot: string; publications: readonly string[]; from: string },
  wanted: number,
): Promise<number> {
  const client = await connect(url, 'replication', new AbortController().signal);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let seen = 0;
  const copy = new CopyBoth(
    client,
    {
      data: (bytes, start) => {
        const kind = bytes[start] === 119 ? bytes[start + 25] : 0;
        if (kind === 73 || kind === 85 || kind === 68) seen += 1;
        if (seen >= wanted) resolve();
        return true;
      },
      piece: () => undefined,
      end: reject,
    },
    1 << 30,
  );
  copy.start(startStatement({ ...options, from: parseLsn(options.from), major: 18, hasMessages: false }));
  await promise;
  copy.close();
  wire(client).stream.destroy();
  return seen;
}
