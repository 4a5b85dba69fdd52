'use client';

import { Spotlight } from '@mantine/spotlight';
import { IconArrowRight, IconColumns3, IconReport, IconRoute, IconSearch, IconTable } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useRouter } from 'next/navigation';
import { useState } from 'react';
import { type Answers, api } from './api.ts';
import { pathOf } from './paths.ts';

type Found = Answers['find'][number];

const signs: Record<Found['kind'], { icon: typeof IconTable; group: string }> = {
  table: { icon: IconTable, group: 'Tables' },
  column: { icon: IconColumns3, group: 'Columns' },
  report: { icon: IconReport, group: 'Reports' },
  pipeline: { icon: IconRoute, group: 'Pipelines' },
};

/** Ctrl-K: anything, from anywhere. */
export function Finder({ places }: { places: readonly { href: string; label: string }[] }) {
  const router = useRouter();
  const [text, setText] = useState('');
  const asked = text.trim();
  const found = useQuery({
    queryKey: ['find', asked],
    queryFn: ({ signal }) => api.find.query({ text: asked }, { signal }),
    enabled: asked.length > 0,
    placeholderData: keepPreviousData,
  });
  const pages = places.filter((place) => place.label.toLowerCase().includes(asked.toLowerCase()));
  const groups = Object.entries(signs)
    .map(([kind, sign]) => ({ ...sign, items: (found.data ?? []).filter((item) => item.kind === kind) }))
    .filter((group) => asked !== '' && group.items.length > 0);
  return (
    <Spotlight.Root
      query={text}
      onQueryChange={setText}
      shortcut="mod + K"
      centered={false}
      yOffset="12dvh"
      tagsToIgnore={[]}
      triggerOnContentEditable
      scrollable
      maxHeight={420}
    >
      <Spotlight.Search
        placeholder="Tables, columns, reports, pipelines, pages"
        leftSection={<IconSearch size={16} aria-hidden />}
      />
      <Spotlight.ActionsList>
        {groups.map(({ group, icon: Icon, items }) => (
          <Spotlight.ActionsGroup key={group} label={group}>
            {items.map((item) => (
              <Spotlight.Action
                key={`${item.kind}:${item.name}:${item.column ?? ''}`}
                leftSection={<Icon size={16} stroke={1.6} aria-hidden />}
                label={item.column ? `${item.column}` : item.name}
                description={item.column ? `${item.type ?? 'column'} in ${item.name}` : (item.words ?? '')}
                onClick={() => router.push(pathOf[item.kind](item.name, item.column))}
              />
            ))}
          </Spotlight.ActionsGroup>
        ))}
        {pages.length > 0 && (
          <Spotlight.ActionsGroup label="Pages">
            {pages.map((place) => (
              <Spotlight.Action
                key={place.href}
                leftSection={<IconArrowRight size={16} stroke={1.6} aria-hidden />}
                label={place.label}
                onClick={() => router.push(place.href)}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {groups.length === 0 && pages.length === 0 && (
          <Spotlight.Empty>{found.isFetching ? 'Looking …' : `Nothing is called “${asked}”.`}</Spotlight.Empty>
        )}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
