'use client';

import type { Answers } from './api.ts';
import { ListTable } from './list-table.tsx';
import { deliveryWords, destinationName } from './report-words.tsx';
import { RunBadge } from './state-badge.tsx';

/** Each delivery with how it keeps its rows and what the last run did there. */
export function ReportDeliveries({ report }: { report: Answers['reports']['get'] }) {
  if (report.deliveries.length === 0) {
    return (
      <p className="dim">
        Nowhere yet: people read it here. Edit the report to keep a sheet, a base or a file current.
      </p>
    );
  }
  const rows = report.deliveries.map((delivery, ordinal) => ({
    ...delivery,
    ordinal,
    how: howWords(report.deliverySpecs[ordinal]),
    last: lastDelivery(report, ordinal),
  }));
  return (
    <ListTable
      label="Deliveries"
      rows={rows}
      rowKey={(row) => String(row.ordinal)}
      columns={[
        { head: 'To', cell: (row) => destinationName(row.kind), width: '130px' },
        { head: 'Place', cell: (row) => <span className="mono">{row.target}</span> },
        { head: 'How', cell: (row) => row.how, isExtra: true },
        {
          head: 'Last run',
          cell: (row) =>
            row.last ? (
              <>
                <RunBadge state={row.last.state} /> {row.last.state !== 'failed' && deliveryWords(row.last)}
                {row.last.errors.map((error) => (
                  <div key={`${JSON.stringify(error.key)}${error.message}`} style={{ color: 'var(--bad)' }}>
                    {error.message}
                  </div>
                ))}
              </>
            ) : (
              <span className="dim">not run yet</span>
            ),
        },
      ]}
    />
  );
}

/** What the newest run that got this far did there. */
function lastDelivery(report: Answers['reports']['get'], ordinal: number) {
  const run = report.runs.find(({ endedAt, destinations }) => endedAt !== null && destinations[ordinal] !== undefined);
  return run?.destinations[ordinal];
}

function howWords(spec: Record<string, unknown> | undefined): string {
  const key = Array.isArray(spec?.key) ? ` by ${spec.key.join(', ')}` : '';
  switch (spec?.mode) {
    case 'mirror':
      return `mirrors the rows${key}`;
    case 'upsert':
      return `adds and changes rows${key}`;
    case 'append':
      return 'adds the rows of each run';
    case 'replace':
      return 'writes all rows anew';
    default:
      return spec?.format === undefined ? '' : `${String(spec.format).toUpperCase()}, replaced whole`;
  }
}
