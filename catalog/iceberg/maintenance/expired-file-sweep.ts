import type { State } from '../../state/state.ts';
import { removeFiles } from '../storage.ts';

const batch = 500;
const atMost = 20_000;

/** Deletes files whose grace is over, of all tables; repeat-safe. Returns how many. */
export async function sweepExpiredFiles(state: State, now: Date, signal: AbortSignal): Promise<number> {
  let swept = 0;
  while (swept < atMost && !signal.aborted) {
    const due = await state.expiredFile.findMany({
      where: { dueAt: { lte: now } },
      select: { location: true },
      take: batch,
    });
    if (due.length === 0) return swept;
    const locations = due.map((file) => file.location);
    await removeFiles(locations);
    await state.expiredFile.deleteMany({ where: { location: { in: locations } } });
    swept += locations.length;
  }
  return swept;
}
