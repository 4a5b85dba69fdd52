import type { AskedReplay } from '#catalog/services/pipeline/replay.ts';
import type { Client } from './client.ts';
import type { Print } from './commands.ts';

export interface ReplayFlags {
  from?: string;
  key?: string;
}

/** Asks that what the log holds for a pipeline be applied again. */
export async function replay(client: Client, name: string, flags: ReplayFlags, print: Print): Promise<void> {
  const address = `/api/v1/pipelines/${encodeURIComponent(name)}/replay`;
  const asked = await client.json<AskedReplay>('POST', address, flags);
  const what = flags.key === undefined ? 'changes' : `changes of ${flags.key}`;
  const when = asked.waits ? ' once it is resumed' : '; status tells how far that is';
  print(`pipeline ${name}: ${what} since ${asked.from} are applied again${when}`);
  for (const { table, reason } of asked.leftOut) print(`left out: ${table}, for ${reason}`);
}
