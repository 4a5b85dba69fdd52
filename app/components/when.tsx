'use client';

import { Tooltip } from '@mantine/core';
import { useEffect, useState } from 'react';

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });

/** An instant as "2 min ago"; its exact time and zone on hover and for screen readers. */
export function When({ at, none = 'never' }: { at: Date | null | undefined; none?: string }) {
  const now = useNow(1000);
  if (!at) return <span className="dim">{none}</span>;
  return (
    <Tooltip label={exact.format(at)}>
      <time dateTime={at.toISOString()} suppressHydrationWarning>
        {relative(at, now)}
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

export function relative(at: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - at.getTime()) / 1000);
  if (seconds < -1) return `in ${span(-seconds, at, now)}`;
  if (seconds < 2) return 'just now';
  if (seconds < 20 * 3600) return `${span(seconds, at, now)} ago`;
  return span(seconds, at, now);
}

/** A length of time in words: 0.4 s, 12 s, 3 min, 5 h; far instants become a date. */
function span(seconds: number, at: Date, now: Date): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 20 * 3600) return `${Math.round(seconds / 3600)} h`;
  if (at.getFullYear() !== now.getFullYear()) return dayOfYear.format(at);
  return `${day.format(at)}, ${clock.format(at)}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
