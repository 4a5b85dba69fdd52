import { setTimeout as pause } from 'node:timers/promises';
import { DailiesError } from '#catalog/error.ts';
import type { MaintenanceResult } from '#catalog/iceberg/maintenance/maintenance-records.ts';
import type { Client } from './client.ts';
import type { Print } from './commands.ts';

interface RunDocument {
  state: 'queued' | 'running' | 'succeeded' | 'failed';
  result: MaintenanceResult;
  error: { message: string } | null;
}

/** Maintains a table now and waits for the end; prints what was done. */
export async function maintain(client: Client, table: string, flags: { json?: boolean }, print: Print): Promise<void> {
  const runs = `/api/v1/tables/${encodeURIComponent(table)}/maintenance`;
  const { id } = await client.json<{ id: string }>('POST', runs);
  let run: RunDocument;
  for (let waitMs = 100; ; waitMs = Math.min(waitMs * 1.5, 1_000)) {
    run = await client.json<RunDocument>('GET', `${runs}/${encodeURIComponent(id)}`);
    if (run.state !== 'queued' && run.state !== 'running') break;
    await pause(waitMs);
  }
  const { state, result, error } = run;
  if (flags.json) print(JSON.stringify({ state, ...result }, null, 2));
  else for (const line of linesOf(result)) print(line);
  if (state === 'failed') throw new DailiesError('internal', error?.message ?? `The maintenance of ${table} failed.`);
}

function linesOf({ compaction, expiry, orphans, notes = [] }: MaintenanceResult): string[] {
  return [
    compaction
      ? `files: ${compaction.files} rewritten as ${compaction.newFiles}, ${size(compaction.bytes)} as ${size(compaction.newBytes)}, ${compaction.droppedRows} deleted rows dropped`
      : 'files: nothing to rewrite',
    expiry
      ? `history: ${expiry.snapshots} states let go, ${expiry.tags} kept as tags, ${expiry.removedRefs} tags and branches removed, ${expiry.files} files to be deleted`
      : 'history: nothing is due',
    ...(orphans
      ? [`orphans: ${orphans.removed} of ${orphans.files} files removed, ${size(orphans.removedBytes)}`]
      : []),
    ...(expiry?.notes ?? []),
    ...notes,
  ];
}

function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}
