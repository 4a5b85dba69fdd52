'use client';

import Link from 'next/link';
import type { Answers } from './api.ts';
import { EmptyState } from './empty-state.tsx';
import { ListTable } from './list-table.tsx';
import { pathOf } from './paths.ts';

/** The reports that read the table. */
export function TableUses({ table }: { table: Answers['tables']['get'] }) {
  if (table.reports.length === 0) {
    return (
      <EmptyState title="No report reads it yet">
        Query it and press “Save as report”: the report is then listed here, for everybody who changes the table.
      </EmptyState>
    );
  }
  return (
    <ListTable
      label={`Reports that read ${table.name}`}
      rows={table.reports}
      rowKey={(report) => report.name}
      columns={[
        {
          head: 'Report',
          cell: (report) => <Link href={pathOf.report(report.name)}>{report.title ?? report.name}</Link>,
        },
        { head: 'Name', cell: (report) => <span className="mono dim">{report.name}</span>, isExtra: true },
        { head: 'Owner', cell: (report) => report.owner },
      ]}
    />
  );
}
