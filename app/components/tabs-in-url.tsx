'use client';

import { Tabs } from '@mantine/core';
import { parseAsString, useQueryState } from 'nuqs';
import type { ReactNode } from 'react';

export interface TabPart {
  id: string;
  label: ReactNode;
  panel: ReactNode;
}

/** Tabs whose choice is in the address. */
export function TabsInUrl({ parts }: { parts: readonly TabPart[] }) {
  const first = parts[0]?.id ?? '';
  const [tab, setTab] = useQueryState('tab', parseAsString.withDefault(first).withOptions({ history: 'push' }));
  const shown = parts.some((part) => part.id === tab) ? tab : first;
  return (
    <Tabs value={shown} onChange={(next) => void setTab(next === first ? null : next)}>
      <Tabs.List>
        {parts.map((part) => (
          <Tabs.Tab key={part.id} value={part.id}>
            {part.label}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {parts.map((part) => (
        <Tabs.Panel key={part.id} value={part.id} pt="md">
          {part.panel}
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
