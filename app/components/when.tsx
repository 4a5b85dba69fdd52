'use client';

import { Tooltip } from '@mantine/core';
import { useEffect, useState } from 'react';

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long', hourCycle: 'h23' });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const dayOfYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

/** An instant as "2 min ago"; its exact time and zone on hover. `shown` says it otherwise. */
export function When({ at, none = 'never', shown }: { at: Date | null | undefined; none?: string; shown?: string }) {
  const now = useNow(1000);
  if (!at) return <span className="dim">{none}</span>;
  return (
    <Tooltip label={exact.format(at)}>
      <time dateTime={at.toISOString()} suppressHydrationWarning>
        {shown ?? relative(at, now)}
      </time>
    </Tooltip>
  );
}

/** The present, told anew every `everyMs`. */
export function useNow(everyMs: number): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** "2 min ago", "in 3 h"; what is further away is told by its date and time. */
export function relative(at: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - at.getTime()) / 1000);
  const away = Math.abs(seconds);
  if (away >= 20 * 3600) {
    return at.getFullYear() === now.getFullYear() ? `${day.format(at)}, ${clock.format(at)}` : dayOfYear.format(at);
  }
  if (seconds < -1) return `in ${span(away)}`;
  return seconds < 2 ? 'just now' : `${span(away)} ago`;
}

function span(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
