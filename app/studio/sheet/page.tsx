'use client';

import { Button, Select } from '@mantine/core';
import { IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { parseAsString, useQueryStates } from 'nuqs';
import { useState } from 'react';
import { api } from '../../components/api.ts';
import { EmptyState } from '../../components/empty-state.tsx';
import { Failure } from '../../components/failure.tsx';
import { Loading } from '../../components/loading.tsx';
import { Page, PageHeader } from '../../components/page-header.tsx';
import { pathOf } from '../../components/paths.ts';
import { SheetGrid } from '../../components/sheet-grid.tsx';
import { useSheet } from '../../components/use-sheet.ts';

interface Place {
  spreadsheet: string;
  tab: string;
}

/** The sample studio's spreadsheet as a stakeholder sees it. */
export default function SheetPage() {
  const [wanted, setWanted] = useQueryStates({ spreadsheet: parseAsString, tab: parseAsString });
  const sheets = useQuery({
    queryKey: ['studio', 'sheets'],
    queryFn: () => api.studio.sheets.query(),
    refetchInterval: 5000,
  });
  if (sheets.isPending) return <Loading what="the studio's sheets" />;
  if (!sheets.data) {
    return (
      <Page>
        <PageHeader title="The stakeholder's sheet" />
        <Failure error={sheets.error} retry={() => sheets.refetch()} />
      </Page>
    );
  }
  const known = sheets.data.find((sheet) => sheet.spreadsheet === wanted.spreadsheet && sheet.tab === wanted.tab);
  const place: Place | undefined =
    wanted.spreadsheet !== null && wanted.tab !== null
      ? { spreadsheet: wanted.spreadsheet, tab: wanted.tab }
      : sheets.data[0];
  if (!place) {
    return (
      <Page>
        <PageHeader title="The stakeholder's sheet" />
        <EmptyState title="No report delivers to a sheet yet" action={<Link href="/reports/new">Make a report</Link>}>
          Give a report a Google Sheets delivery: the tab that it keeps current is shown here as its readers see it.
        </EmptyState>
      </Page>
    );
  }
  const report =
    known ?? sheets.data.find((sheet) => sheet.spreadsheet === place.spreadsheet && sheet.tab === place.tab);
  return (
    <OneSheet
      key={`${place.spreadsheet}/${place.tab}`}
      place={place}
      report={report}
      others={sheets.data}
      onChoose={(next) => void setWanted(next)}
    />
  );
}

interface OneSheetProps {
  place: Place;
  report: { report: string; reportTitle: string } | undefined;
  others: readonly Place[];
  onChoose(place: Place): void;
}

function OneSheet({ place, report, others, onChoose }: OneSheetProps) {
  const [isLive, setLive] = useState(true);
  const sheet = useSheet(place, isLive);
  const choices = [...new Map(others.map((other) => [`${other.spreadsheet}/${other.tab}`, other])).values()];
  return (
    <Page wide>
      <PageHeader
        title={sheet.view?.title ?? "The stakeholder's sheet"}
        sentence={
          <>
            The tab “{place.tab}” as its readers see it
            {report && (
              <>
                , kept current by the report <Link href={pathOf.report(report.report)}>{report.reportTitle}</Link>
              </>
            )}
            . Columns with a dot are the report’s; write notes beside them and they stay.
          </>
        }
        actions={
          <>
            {choices.length > 1 && (
              <Select
                aria-label="Tab"
                allowDeselect={false}
                data={choices.map((choice) => ({ value: `${choice.spreadsheet}/${choice.tab}`, label: choice.tab }))}
                value={`${place.spreadsheet}/${place.tab}`}
                onChange={(value) => {
                  const choice = choices.find((one) => `${one.spreadsheet}/${one.tab}` === value);
                  if (choice) onChoose({ spreadsheet: choice.spreadsheet, tab: choice.tab });
                }}
              />
            )}
            <Button
              leftSection={
                isLive ? <IconPlayerPause size={15} aria-hidden /> : <IconPlayerPlay size={15} aria-hidden />
              }
              onClick={() => setLive(!isLive)}
            >
              {isLive ? 'Pause live view' : 'Go live'}
            </Button>
          </>
        }
      />
      {sheet.error && !sheet.view && <Failure error={sheet.error} retry={sheet.retry} />}
      {!sheet.error && !sheet.view && <Loading what="the sheet" />}
      {sheet.view && <SheetGrid view={sheet.view} changed={sheet.changed} onWrite={sheet.write} />}
    </Page>
  );
}
