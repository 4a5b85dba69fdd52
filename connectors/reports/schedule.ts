import { Cron } from 'croner';
import { DailiesError } from '#catalog/error.ts';

/**
 * Instants of a cron schedule in a named zone, right over changes of the clock: a time that the change skips runs at the
 * first instant after the gap, one that comes twice runs once; a schedule that runs every so many minutes runs in each
 * real hour. Five fields (minute hour day month weekday) or six, seconds first.
 */
export interface CronSchedule {
  cron: string;
  /** IANA name. */
  zone: string;
}

/** @throws DailiesError invalid where the expression or the zone is none. */
export function nextSlots(schedule: CronSchedule, after: Date, count: number): Date[] {
  try {
    return new Cron(schedule.cron, { timezone: schedule.zone, paused: true }).nextRuns(count, after);
  } catch (cause) {
    throw new DailiesError(
      'invalid',
      `"${schedule.cron}" in ${schedule.zone} is not a schedule. It has five fields (minute hour day month weekday) and an IANA zone such as America/Los_Angeles.`,
      { cause },
    );
  }
}

/** The newest instant of the schedule in (since, now]: what was missed while nobody ran is caught up by one run. */
export function dueSlot(schedule: CronSchedule, since: Date, now: Date): Date | null {
  let due: Date | null = null;
  let from = since;
  // A schedule that was not looked at for long is looked at from near its end.
  const nearest = new Date(now.getTime() - catchUpMs);
  if (from < nearest) from = nearest;
  for (;;) {
    const [next] = nextSlots(schedule, from, 1);
    if (next === undefined || next > now) return due;
    due = next;
    from = next;
  }
}

/** The longest that a missed instant is caught up. */
const catchUpMs = 24 * 60 * 60 * 1000;
