'use client';

import { Button } from '@mantine/core';
import { IconAlertTriangle, IconLock } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { problemOf } from './api.ts';
import css from './failure.module.css';

interface FailureProps {
  error: unknown;
  /** What could not be done, as the start of a sentence: "The table could not be read." */
  what?: string;
  retry?: (() => void) | undefined;
}

/** What happened, in the words of the error itself, and the one step that mends it. */
export function Failure({ error, what, retry }: FailureProps) {
  const problem = problemOf(error);
  const isRefused = problem.code === 'forbidden' || problem.code === 'FORBIDDEN';
  const Icon = isRefused ? IconLock : IconAlertTriangle;
  return (
    <div className={css.failure} role="alert" data-refused={isRefused || undefined}>
      <Icon size={18} stroke={1.8} className={css.icon} aria-hidden />
      <div className={css.words}>
        <p className={css.what}>{what ?? titleOf(problem.code)}</p>
        <p className={css.message}>{problem.message}</p>
        <Details code={problem.code} details={problem.details} />
      </div>
      {retry && !isRefused && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

interface StoredFailureProps {
  error: StoredError;
  what: string;
  /** Nothing has failed yet. */
  isWarning?: boolean;
  action?: ReactNode;
}

/** The same for an error that the product stored: a pipeline's last error, a run's reason. */
export function StoredFailure({ error, what, isWarning = false, action }: StoredFailureProps) {
  return (
    <div className={css.failure} role="status" data-warning={isWarning || undefined}>
      <IconAlertTriangle size={18} stroke={1.8} className={css.icon} aria-hidden />
      <div className={css.words}>
        <p className={css.what}>{what}</p>
        <p className={css.message}>{error.message}</p>
        {error.advice && <p className={css.message}>{error.advice}</p>}
        <Details code={error.code} details={error.details ?? {}} />
      </div>
      {action}
    </div>
  );
}

export interface StoredError {
  code: string;
  message: string;
  advice?: string | undefined;
  details?: Record<string, unknown>;
}

function Details({ code, details }: { code: string; details: Record<string, unknown> }) {
  const entries = Object.entries(details).filter(([, value]) => value !== null && value !== undefined);
  return (
    <details className={css.details}>
      <summary>Details</summary>
      <dl>
        <dt>code</dt>
        <dd className="mono">{code}</dd>
        {entries.map(([name, value]) => (
          <div key={name} className={css.detail}>
            <dt>{name}</dt>
            <dd className="mono">{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function titleOf(code: string): string {
  switch (code) {
    case 'forbidden':
    case 'FORBIDDEN':
      return 'You may not see this.';
    case 'not_found':
    case 'NOT_FOUND':
      return 'There is nothing of that name.';
    case 'unreachable':
      return 'No answer from Dailies.';
    default:
      return 'This did not work.';
  }
}
