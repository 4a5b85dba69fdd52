import type { ReactNode } from 'react';
import css from './outside-card.module.css';

/** The one card of a page outside the rail. */
export function OutsideCard({ title, words, children }: { title: string; words: string; children: ReactNode }) {
  return (
    <div className={css.card}>
      <div className={css.stripes} aria-hidden />
      <h1 className={css.title}>{title}</h1>
      <p className={css.words}>{words}</p>
      {children}
    </div>
  );
}
