'use client';

import { Select, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs';
import { useState } from 'react';
import { tableNamespace } from '#catalog/query/sql-name.ts';
import { type Answers, api } from '../components/api.ts';
import { EmptyState } from '../components/empty-state.tsx';
import { Failure } from '../components/failure.tsx';
import { freshnessOf, TableBadge } from '../components/freshness.tsx';
import { Loading } from '../components/loading.tsx';
import { count, counted } from '../components/numbers.ts';
import { Page, PageHeader, Sentence } from '../components/page-header.tsx';
import { pathOf } from '../components/paths.ts';
import { useNow, When } from '../components/when.tsx';
import css from './catalog.module.css';

type Hit = Answers['tables']['search']['hits'][number];
const freshnesses = ['fresh', 'behind', 'stale', 'unknown'] as const;

export default function CatalogPage() {
  const [view, setView] = useQueryStates(
    {
      q: parseAsString.withDefault(''),
      domain: parseAsString,
      owner: parseAsString,
      freshness: parseAsStringLiteral(freshnesses),
    },
    { history: 'replace' },
  );
  const [text, setText] = useState(view.q);
  const search = useDebouncedCallback((q: string) => void setView({ q: q || null }), 120);
  const now = useNow(5000);
  const answer = useQuery({
    queryKey: ['tables', 'search', view.q],
    queryFn: ({ signal }) => api.tables.search.query({ text: view.q }, { signal }),
    placeholderData: keepPreviousData,
    refetchInterval: 5000,
  });
  const hits = answer.data?.hits ?? [];
  const shown = hits.filter(
    ({ table }) =>
      (view.domain === null || tableNamespace(table.name) === view.domain) &&
      (view.owner === null || (table.owner ?? 'nobody') === view.owner) &&
      (view.freshness === null || freshnessOf(table.freshAsOf, now) === view.freshness),
  );
  const isNarrowed = view.q !== '' || view.domain !== null || view.owner !== null || view.freshness !== null;
  function clear() {
    setText('');
    void setView({ q: null, domain: null, owner: null, freshness: null });
  }
  return (
    <Page>
      <PageHeader
        title="Catalog"
        sentence={answer.data && <Summary shown={shown} total={answer.data.total} limit={hits.length} now={now} />}
      />
      <search className={css.search}>
        <TextInput
          className={css.text}
          size="md"
          aria-label="Search tables and columns"
          placeholder="Search by table, column, owner or words"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={text}
          autoFocus
          onChange={(event) => {
            setText(event.currentTarget.value);
            search(event.currentTarget.value.trim());
          }}
        />
        <Filter
          label="Domain"
          value={view.domain}
          options={hits.map((hit) => tableNamespace(hit.table.name))}
          onChange={(domain) => void setView({ domain })}
        />
        <Filter
          label="Owner"
          value={view.owner}
          options={hits.map((hit) => hit.table.owner ?? 'nobody')}
          onChange={(owner) => void setView({ owner })}
        />
        <Filter
          label="Freshness"
          value={view.freshness}
          options={hits.map((hit) => freshnessOf(hit.table.freshAsOf, now))}
          onChange={(freshness) =>
            void setView({ freshness: freshnesses.find((known) => known === freshness) ?? null })
          }
        />
      </search>
      {answer.isPending && <Loading what="the catalog" />}
      {answer.error && !answer.data && <Failure error={answer.error} retry={() => answer.refetch()} />}
      {answer.data && shown.length === 0 && <Nothing isNarrowed={isNarrowed} text={view.q} onClear={clear} />}
      {shown.length > 0 && (
        <ul className={css.list} aria-label="Tables">
          {shown.map((hit) => (
            <HitRow key={hit.table.name} hit={hit} />
          ))}
        </ul>
      )}
    </Page>
  );
}

function Summary({ shown, total, limit, now }: { shown: readonly Hit[]; total: number; limit: number; now: Date }) {
  const failed = shown.filter(({ table }) => table.state === 'failed').length;
  const stale = shown.filter(({ table }) => table.pipeline && freshnessOf(table.freshAsOf, now) === 'stale').length;
  return (
    <Sentence
      parts={[
        counted(shown.length, 'table'),
        failed > 0 && `${counted(failed, 'is', 'are')} not being filled`,
        shown.length > 0 && failed === 0 && (stale === 0 ? 'all fresh' : `${counted(stale, 'is', 'are')} stale`),
        total > limit && `the best ${count(limit)} of ${count(total)} are shown; more words narrow it down`,
      ]}
    />
  );
}

function HitRow({ hit: { table, column, usage } }: { hit: Hit }) {
  return (
    <li className={css.hit}>
      <div className={css.head}>
        <Link href={pathOf.table(table.name)} className={css.name}>
          {table.name}
        </Link>
        <TableBadge table={table} />
      </div>
      {(table.title ?? table.description) && <p className={css.words}>{table.title ?? table.description}</p>}
      {column && (
        <p className={css.match}>
          matched column{' '}
          <Link href={pathOf.column(table.name, column.path)} className="mono">
            {column.path}
          </Link>{' '}
          <span className="dim">{column.type}</span>
          {column.description && <span className="dim"> · {column.description}</span>}
        </p>
      )}
      <p className={css.facts}>
        <Sentence
          parts={[
            counted(table.rows, 'row'),
            counted(table.columnCount, 'column'),
            <span key="fresh">
              fresh <When at={table.freshAsOf} none="not yet" />
            </span>,
            table.owner && `owned by ${table.owner}`,
            usage > 0 && `used ${counted(usage, 'time')}`,
          ]}
        />
      </p>
    </li>
  );
}

function Filter(props: {
  label: string;
  value: string | null;
  options: string[];
  onChange(value: string | null): void;
}) {
  const options = [...new Set([...props.options, ...(props.value === null ? [] : [props.value])])].sort();
  return (
    <Select
      className={css.filter}
      size="md"
      aria-label={props.label}
      placeholder={props.label}
      clearable
      searchable={options.length > 8}
      data={options}
      value={props.value}
      onChange={props.onChange}
    />
  );
}

function Nothing({ isNarrowed, text, onClear }: { isNarrowed: boolean; text: string; onClear(): void }) {
  if (!isNarrowed) {
    return (
      <EmptyState title="No table has landed yet" action={<Link href="/pipelines">See pipelines</Link>}>
        The catalog finds every table that a pipeline lands, by itself. Connect a database with a definition file and{' '}
        <code>dailies apply</code>; its tables appear here once their first copy is done.
      </EmptyState>
    );
  }
  return (
    <EmptyState
      title={text === '' ? 'No table fits these filters' : `Nothing matches “${text}”`}
      action={
        <button type="button" className={css.clear} onClick={onClear}>
          Clear search and filters
        </button>
      }
    >
      Names, titles, owners and the columns of every table were searched.
    </EmptyState>
  );
}
