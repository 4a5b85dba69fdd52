import type { ReactNode } from 'react';
import css from './page-header.module.css';

interface PageHeaderProps {
  title: ReactNode;
  /** What it is and whether it is well, in one line. */
  sentence?: ReactNode;
  actions?: ReactNode;
}

export function PageHeader({ title, sentence, actions }: PageHeaderProps) {
  return (
    <header className={css.header}>
      <div className={css.words}>
        <h1 className={css.title}>{title}</h1>
        {sentence && <p className={css.sentence}>{sentence}</p>}
      </div>
      {actions && <div className={css.actions}>{actions}</div>}
    </header>
  );
}

/** The page's body with the width and margins that every page shares. */
export function Page({ children, wide = false }: { children: ReactNode; wide?: boolean }) {
  return (
    <div className={css.page} data-wide={wide || undefined}>
      {children}
    </div>
  );
}

/** A titled part of a page. */
export function Section({ title, aside, children }: { title: ReactNode; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className={css.section}>
      <div className={css.sectionHead}>
        <h2 className={css.sectionTitle}>{title}</h2>
        {aside && <div className={css.aside}>{aside}</div>}
      </div>
      {children}
    </section>
  );
}

/** Parts of a sentence with middle dots between; parts that are not there leave no dot. */
export function Sentence({ parts }: { parts: readonly ReactNode[] }) {
  const shown = parts.filter((part) => part !== null && part !== undefined && part !== false && part !== '');
  return (
    <>
      {shown.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one sentence never change places
        <span key={index}>
          {index > 0 && <span className={css.dot}> · </span>}
          {part}
        </span>
      ))}
    </>
  );
}
