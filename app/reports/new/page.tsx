'use client';

import { notifications } from '@mantine/notifications';
import { useRouter } from 'next/navigation';
import { parseAsString, useQueryState } from 'nuqs';
import { EmptyState } from '../../components/empty-state.tsx';
import { Page, PageHeader } from '../../components/page-header.tsx';
import { pathOf } from '../../components/paths.ts';
import { ReportForm } from '../../components/report-form.tsx';
import { useWho } from '../../components/session.tsx';

export default function NewReportPage() {
  const who = useWho();
  const router = useRouter();
  const [sql] = useQueryState('sql', parseAsString.withDefault(''));
  if (!who.mayWriteReports) {
    return (
      <Page>
        <EmptyState title="You may not save reports">
          That needs the role analyst. An admin can give it to {who.email}.
        </EmptyState>
      </Page>
    );
  }
  return (
    <Page>
      <PageHeader
        title="New report"
        sentence="A query that runs by itself and keeps a sheet, a base or a file current."
      />
      <ReportForm
        initial={{ name: '', title: '', sql, parameters: {}, schedule: null, deliveries: [] }}
        onSaved={(name) => {
          notifications.show({ message: `The report ${name} is saved.` });
          router.push(pathOf.report(name));
        }}
      />
    </Page>
  );
}
