'use client';

import { Skeleton } from '@mantine/core';
import { useEffect, useState } from 'react';
import css from './loading.module.css';

/** Rows in the shape of what comes; after 300 ms also words. */
export function Loading({ what, rows = 8 }: { what: string; rows?: number }) {
  const isLate = useLate(300);
  return (
    <div className={css.loading} aria-busy="true">
      <p className={css.words} role="status">
        {isLate ? `Reading ${what} …` : '\u00a0'}
      </p>
      {Array.from({ length: rows }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: skeleton rows are all alike
        <Skeleton key={index} height={14} width={`${88 - ((index * 23) % 40)}%`} mb={18} radius="sm" />
      ))}
    </div>
  );
}

export function useLate(afterMs: number): boolean {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), afterMs);
    return () => clearTimeout(timer);
  }, [afterMs]);
  return isLate;
}
