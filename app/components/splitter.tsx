'use client';

import { type PointerEvent, type ReactNode, useRef, useState } from 'react';
import css from './splitter.module.css';

/** Two parts, one above the other, with a bar between that drags or moves by arrow keys. */
export function Splitter({ label, top, bottom }: { label: string; top: ReactNode; bottom: ReactNode }) {
  const frame = useRef<HTMLDivElement>(null);
  const [percent, setPercent] = useState(34);
  const move = (next: number) => setPercent(Math.max(12, Math.min(80, next)));
  function onPointerMove(event: PointerEvent<HTMLHRElement>) {
    if (!event.currentTarget.hasPointerCapture(event.pointerId) || !frame.current) return;
    const box = frame.current.getBoundingClientRect();
    move(((event.clientY - box.top) / box.height) * 100);
  }
  return (
    <div ref={frame} className={css.frame} style={{ gridTemplateRows: `${percent}% 5px minmax(0, 1fr)` }}>
      <div className={css.part}>{top}</div>
      <hr
        className={css.bar}
        aria-label={label}
        aria-orientation="horizontal"
        aria-valuenow={Math.round(percent)}
        aria-valuemin={12}
        aria-valuemax={80}
        tabIndex={0}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={onPointerMove}
        onKeyDown={(event) => {
          if (event.key === 'ArrowUp') move(percent - 4);
          if (event.key === 'ArrowDown') move(percent + 4);
        }}
      />
      <div className={css.part}>{bottom}</div>
    </div>
  );
}
