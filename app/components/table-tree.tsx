'use client';

import { TextInput } from '@mantine/core';
import { IconChevronRight, IconKey, IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { quotedName, sqlTableName, tableLeaf, tableNamespace } from '#catalog/query/sql-name.ts';
import { api } from './api.ts';
import { Failure } from './failure.tsx';
import css from './table-tree.module.css';

/** Tables by namespace with their columns; a click on a name writes it into the editor. */
export function TableTree({ onInsert }: { onInsert(text: string): void }) {
  const [filter, setFilter] = useState('');
  const tables = useQuery({ queryKey: ['tables', 'list'], queryFn: () => api.tables.list.query(), staleTime: 15_000 });
  const wanted = filter.trim().toLowerCase();
  const shown = (tables.data ?? []).filter((table) => table.name.toLowerCase().includes(wanted));
  const spaces = [...new Set(shown.map((table) => tableNamespace(table.name)))];
  return (
    <nav className={css.tree} aria-label="Tables">
      <TextInput
        aria-label="Filter tables"
        placeholder="Filter tables"
        leftSection={<IconSearch size={14} aria-hidden />}
        value={filter}
        onChange={(event) => setFilter(event.currentTarget.value)}
        mb={8}
      />
      {tables.error && <Failure error={tables.error} />}
      {tables.data?.length === 0 && <p className="dim">No table has landed yet.</p>}
      {tables.data && tables.data.length > 0 && shown.length === 0 && <p className="dim">No table has that name.</p>}
      {spaces.map((space) => (
        <details key={space} open className={css.space}>
          <summary className={css.branch}>
            <IconChevronRight size={13} className={css.chevron} aria-hidden />
            {space || 'tables'}
          </summary>
          {shown
            .filter((table) => tableNamespace(table.name) === space)
            .slice(0, 200)
            .map((table) => (
              <TableBranch key={table.name} name={table.name} onInsert={onInsert} />
            ))}
        </details>
      ))}
    </nav>
  );
}

function TableBranch({ name, onInsert }: { name: string; onInsert(text: string): void }) {
  const [isOpen, setOpen] = useState(false);
  const table = useQuery({
    queryKey: ['tables', 'get', name],
    queryFn: () => api.tables.get.query({ name }),
    enabled: isOpen,
    staleTime: 15_000,
  });
  return (
    <details className={css.table} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className={css.branch}>
        <IconChevronRight size={13} className={css.chevron} aria-hidden />
        <span className={css.label} title={name}>
          {tableLeaf(name)}
        </span>
        <button
          type="button"
          className={css.insert}
          onClick={(event) => {
            event.preventDefault();
            onInsert(sqlTableName(name));
          }}
        >
          insert
        </button>
      </summary>
      {table.error && <Failure error={table.error} />}
      {table.data?.columns.map((column) => (
        <button
          key={column.fieldId}
          type="button"
          className={css.column}
          title={column.description ?? `${column.path} ${column.type}`}
          onClick={() => onInsert(quotedPath(column.path))}
        >
          {column.isKey && <IconKey size={12} aria-label="key" />}
          <span className={css.label}>{column.path}</span>
          <span className={css.type}>{column.type}</span>
        </button>
      ))}
    </details>
  );
}

export function quotedPath(path: string): string {
  return path.split('.').map(quotedName).join('.');
}
