'use client';

import { Modal } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useRouter } from 'next/navigation';
import { pathOf } from './paths.ts';
import { ReportForm } from './report-form.tsx';
import type { Draft } from './sql-drafts.ts';

/** Makes a report of what stands in the editor. */
export function SaveReport({ opened, draft, onClose }: { opened: boolean; draft: Draft; onClose(): void }) {
  const router = useRouter();
  return (
    <Modal opened={opened} onClose={onClose} title="Save as a report" size="xl">
      <ReportForm
        showSql={false}
        initial={{
          name: draft.name.startsWith('untitled') ? '' : draft.name,
          title: '',
          sql: draft.sql,
          parameters: draft.parameters,
          schedule: null,
          deliveries: [],
        }}
        onSaved={(name) => {
          onClose();
          notifications.show({ message: `The report ${name} is saved.` });
          router.push(pathOf.report(name));
        }}
      />
    </Modal>
  );
}
