import type { ReactNode } from 'react';
import css from './list-table.module.css';

export interface ListColumn<Row> {
  head: string;
  cell(row: Row): ReactNode;
  align?: 'right';
  width?: string;
  /** Left out where the window is narrow. */
  isExtra?: boolean;
}

interface ListTableProps<Row> {
  /** What the table lists, for screen readers. */
  label: string;
  rows: readonly Row[];
  rowKey(row: Row): string;
  columns: readonly ListColumn<Row>[];
}

/** A plain list: one line of 32 px a row, numbers to the right. For up to a few hundred rows. */
export function ListTable<Row>({ label, rows, rowKey, columns }: ListTableProps<Row>) {
  return (
    <div className={css.frame}>
      <table className={css.table} aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.head} scope="col" style={{ width: column.width }} {...flags(column)}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => (
                <td key={column.head} {...flags(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function flags<Row>(column: ListColumn<Row>) {
  return { 'data-align': column.align, 'data-extra': column.isExtra || undefined };
}
