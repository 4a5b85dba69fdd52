import { keyIndexes, type Schema } from '#catalog/schemas/schema.ts';
import type { RetainedChanges } from '#catalog/services/pipeline/replay.ts';
import type { Log } from '../log.ts';
import { oldestChange } from './plan-replay.ts';
import { ReplayKey } from './replay-key.ts';

/** What the log holds of these tables of a source, source.schema.table with their shapes as they are now. */
export async function retainedChanges(
  log: Log,
  source: string,
  tables: ReadonlyMap<string, Schema>,
  key: string | null,
  signal: AbortSignal,
): Promise<RetainedChanges> {
  const oldest = await oldestChange(log, source, new Set(tables.keys()), signal);
  const asked = key === null ? null : new ReplayKey(key);
  const told: RetainedChanges['tables'] = [];
  for (const [table, schema] of tables) {
    told.push({
      table,
      key: [...schema.key],
      isMeant: asked?.fits(keyIndexes(schema).length) ?? true,
      isWhole: (await log.snapshotOf(source, table)) !== null,
    });
  }
  return { source, oldest: oldest === null ? null : new Date(Number(oldest / 1000n)).toISOString(), tables: told };
}
