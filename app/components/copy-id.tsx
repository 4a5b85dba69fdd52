'use client';

import { CopyButton, Tooltip } from '@mantine/core';
import css from './copy-id.module.css';

/** An id or address in mono that a click copies. */
export function CopyId({ value, shown = value }: { value: string; shown?: string }) {
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? 'Copied' : 'Copy'}>
          <button type="button" className={css.id} onClick={copy} aria-label={`Copy ${value}`}>
            {shown}
          </button>
        </Tooltip>
      )}
    </CopyButton>
  );
}
