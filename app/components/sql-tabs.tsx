'use client';

import { IconPlus, IconX } from '@tabler/icons-react';
import { useState } from 'react';
import type { Draft } from './sql-drafts.ts';
import css from './sql-tabs.module.css';

interface SqlTabsProps {
  drafts: readonly Draft[];
  activeId: string | null;
  onActivate(id: string): void;
  onClose(id: string): void;
  onOpen(): void;
  onRename(id: string, name: string): void;
}

/** The drafts as tabs. A double click or F2 renames. */
export function SqlTabs({ drafts, activeId, onActivate, onClose, onOpen, onRename }: SqlTabsProps) {
  const [renaming, setRenaming] = useState<string | null>(null);
  function rename(id: string, name: string) {
    setRenaming(null);
    if (name.trim() !== '') onRename(id, name.trim());
  }
  return (
    <div className={css.bar} role="toolbar" aria-label="Drafts">
      {drafts.map((draft) => (
        <span key={draft.id} className={css.tab} data-active={draft.id === activeId || undefined}>
          {renaming === draft.id ? (
            <input
              className={css.input}
              aria-label="Name of the draft"
              defaultValue={draft.name}
              // biome-ignore lint/a11y/noAutofocus: the person has just asked to write here
              autoFocus
              onBlur={(event) => rename(draft.id, event.currentTarget.value)}
              onKeyDown={(event) => {
                if (event.key === 'Enter') rename(draft.id, event.currentTarget.value);
                if (event.key === 'Escape') setRenaming(null);
              }}
            />
          ) : (
            <button
              type="button"
              className={css.name}
              aria-pressed={draft.id === activeId}
              title={`${draft.name} (double click renames)`}
              onClick={() => onActivate(draft.id)}
              onDoubleClick={() => setRenaming(draft.id)}
              onKeyDown={(event) => event.key === 'F2' && setRenaming(draft.id)}
            >
              {draft.name}
            </button>
          )}
          <button
            type="button"
            className={css.close}
            aria-label={`Close ${draft.name}`}
            onClick={() => onClose(draft.id)}
          >
            <IconX size={12} aria-hidden />
          </button>
        </span>
      ))}
      <button type="button" className={css.add} aria-label="New draft" onClick={onOpen}>
        <IconPlus size={15} aria-hidden />
      </button>
    </div>
  );
}
