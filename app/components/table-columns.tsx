'use client';

import { IconKey } from '@tabler/icons-react';
import { parseAsString, useQueryState } from 'nuqs';
import { useEffect, useRef } from 'react';
import type { Answers } from './api.ts';
import { EmptyState } from './empty-state.tsx';
import css from './table-columns.module.css';

type Table = Answers['tables']['get'];
type Column = Table['columns'][number];

/** The columns with what each means; one that the address names is marked and brought into view. */
export function TableColumns({ table }: { table: Table }) {
  const [wanted] = useQueryState('column', parseAsString);
  const marked = useRef<HTMLTableRowElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when another column is asked for
  useEffect(() => marked.current?.scrollIntoView({ block: 'center' }), [wanted]);
  if (table.columns.length === 0) {
    return <EmptyState title="No columns yet">They appear with the first copy of the source.</EmptyState>;
  }
  return (
    <div className={css.frame}>
      <table className={css.table} aria-label={`Columns of ${table.name}`}>
        <thead>
          <tr>
            <th scope="col">Column</th>
            <th scope="col">Type</th>
            <th scope="col">Meaning</th>
            <th scope="col">From</th>
          </tr>
        </thead>
        <tbody>
          {table.columns.map((column) => (
            <tr
              key={column.fieldId}
              ref={column.path === wanted ? marked : undefined}
              data-wanted={column.path === wanted || undefined}
            >
              <td>
                <ColumnName column={column} />
              </td>
              <td className="mono dim">{column.type}</td>
              <td>{column.description ?? <span className="dim">not described</span>}</td>
              <td className="dim">{column.origin}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function ColumnName({ column }: { column: Column }) {
  const depth = column.path.split('.').length - 1;
  return (
    <span className={css.name} style={{ paddingLeft: depth * 14 }}>
      {column.isKey && <IconKey size={14} className={css.key} aria-label="key" />}
      {column.path}
      {column.required && !column.isKey && <span className={css.note}>never NULL</span>}
    </span>
  );
}
