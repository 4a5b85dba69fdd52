import { randomUUID } from 'node:crypto';
import type { State } from '../../state/state.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { maintenanceSettings } from '../metadata/table-properties.ts';
import { planExpiry } from './retention.ts';

/*
 * A query pins the snapshot that it reads: maintenance, in another process, keeps a pinned snapshot. A pin is a lease: one
 * whose holder died ends by itself. Only a snapshot that could go while the query runs needs a pin; one that maintenance
 * leaves alone for longer needs none, so that most queries write nothing. Between planning a query and pinning, the grace
 * that files of expired snapshots have keeps them.
 */

/** A snapshot of a table that is about to be read. */
export interface Pinnable {
  metadata: TableMetadata;
  snapshotId: bigint;
}

/** Holds nothing any more once released; a release that does not get through is made good by the lease's end. */
export interface SnapshotHold extends AsyncDisposable {
  /** True if anything had to be pinned. */
  readonly isPinned: boolean;
}

/** Pins what might expire within `forMs`, for as long. */
export async function pinSnapshots(
  state: State,
  reads: readonly Pinnable[],
  forMs: number,
  now: Date,
): Promise<SnapshotHold> {
  const endMs = now.getTime() + forMs;
  const wanted = reads.filter((read) => mayExpire(read, now.getTime(), endMs));
  if (wanted.length === 0) return { isPinned: false, [Symbol.asyncDispose]: async () => undefined };
  const holder = randomUUID();
  await state.snapshotPin.createMany({
    data: wanted.map(({ metadata, snapshotId }) => ({
      tableUuid: metadata['table-uuid'],
      snapshotId,
      holder,
      expiresAt: new Date(endMs),
    })),
  });
  return {
    isPinned: true,
    [Symbol.asyncDispose]: async () => {
      await state.snapshotPin.deleteMany({ where: { holder } });
    },
  };
}

/** Ids of the table's snapshots that are being read. */
export async function pinnedSnapshots(state: State, tableUuid: string, now: Date): Promise<Set<bigint>> {
  const pins = await state.snapshotPin.findMany({
    where: { tableUuid, expiresAt: { gt: now } },
    select: { snapshotId: true },
  });
  return new Set(pins.map((pin) => pin.snapshotId));
}

/** Forgets leases that have ended. */
export async function removeEndedPins(state: State, now: Date): Promise<void> {
  await state.snapshotPin.deleteMany({ where: { expiresAt: { lte: now } } });
}

/** Whether maintenance might let the snapshot go before `atMs`, even if a new commit comes right now. */
function mayExpire({ metadata, snapshotId }: Pinnable, nowMs: number, endMs: number): boolean {
  const { settings } = maintenanceSettings(metadata.properties);
  const isCurrent = metadata['current-snapshot-id'] === snapshotId;
  // The current one stays for the whole age after the commit that replaces it.
  if (isCurrent) return settings.maxSnapshotAgeMs < endMs - nowMs;
  return planExpiry(metadata, settings, endMs).expired.includes(snapshotId);
}
