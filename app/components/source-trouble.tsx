import { IconAlertTriangle } from '@tabler/icons-react';
import type { Answers } from './api.ts';
import { adviceFor } from './pipeline-words.ts';
import css from './source-trouble.module.css';
import { When } from './when.tsx';

type Source = Pick<Answers['system']['sources'][number], 'lastError' | 'warnings' | 'tables'>;

/** What has happened to a source and its tables, then what threatens it while it goes on, each with what to do. */
export function SourceTrouble({ source }: { source: Source }) {
  const { lastError, warnings } = source;
  const tables = lastError ? [] : source.tables.filter((table) => table.lastError);
  return (
    <div className={css.troubles}>
      {lastError && (
        <p className={css.trouble}>
          {lastError.message} {adviceFor(lastError.code)}
        </p>
      )}
      {tables.map(({ name, lastError: error }) => (
        <p key={name} className={css.trouble}>
          <span className="mono">{name}</span> {error?.message}
        </p>
      ))}
      {warnings.map(({ code, message, since }) => (
        <p key={code} className={css.trouble} data-tone="warn">
          <IconAlertTriangle size={14} stroke={2} className={css.icon} aria-label="Warning" />
          <span>
            {message}{' '}
            <span className="dim">
              Since <When at={since} />.
            </span>
          </span>
        </p>
      ))}
    </div>
  );
}
