'use client';

import { Button, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useState } from 'react';
import { type Answers, api } from './components/api.ts';
import { EmptyState } from './components/empty-state.tsx';
import { Failure, StoredFailure } from './components/failure.tsx';
import { Loading } from './components/loading.tsx';
import { counted } from './components/numbers.ts';
import { Page, PageHeader, Section, Sentence } from './components/page-header.tsx';
import { pathOf } from './components/paths.ts';
import { RunSentence, ScheduleSentence } from './components/report-words.tsx';
import { useWho } from './components/session.tsx';
import { StateBadge } from './components/state-badge.tsx';
import { When } from './components/when.tsx';
import css from './home.module.css';

type Home = Answers['home']['get'];
type Activity = Home['activity'][number];

export default function HomePage() {
  const who = useWho();
  const home = useQuery({
    queryKey: ['home'],
    queryFn: ({ signal }) => api.home.get.query(undefined, { signal }),
    refetchInterval: 2000,
  });
  if (home.isPending) return <Loading what="what is going on" />;
  if (!home.data) {
    return (
      <Page>
        <Failure error={home.error} retry={() => home.refetch()} />
      </Page>
    );
  }
  const { data } = home;
  return (
    <Page>
      <PageHeader title={<Headline home={data} />} sentence={<HomeSentence home={data} />} />
      <QuickSearch />
      {data.problems.map((problem) => (
        <div key={`${problem.kind}:${problem.name}:${problem.error?.code}`} className={css.problem}>
          <StoredFailure
            what={
              problem.hasFailed
                ? `The ${problem.kind} ${problem.name} has failed.`
                : `The ${problem.kind} ${problem.name} goes on, but needs a look.`
            }
            isWarning={!problem.hasFailed}
            error={problem.error ?? { code: 'internal', message: 'It gave no reason.' }}
            action={
              <Link href={problem.kind === 'source' ? '/pipelines' : pathOf[problem.kind](problem.name)}>
                Open the {problem.kind === 'source' ? 'sources' : problem.kind}
              </Link>
            }
          />
        </div>
      ))}
      <div className={css.halves}>
        <Section title="What changed lately" aside="newest first">
          <ActivityList activity={data.activity} />
        </Section>
        <div>
          {data.stale.length > 0 && (
            <Section title="Behind">
              <ul className={css.list}>
                {data.stale.slice(0, 8).map((table) => (
                  <li key={table.table} className={css.item}>
                    <Link href={pathOf.table(table.table)}>{table.table}</Link>
                    <span className={css.at}>
                      <StateBadge state="stale" /> <When at={table.freshAsOf} none="not filled yet" />
                    </span>
                  </li>
                ))}
              </ul>
            </Section>
          )}
          <Section title="My reports" aside={<Link href="/reports">All reports</Link>}>
            <MyReports mayWrite={who.mayWriteReports} />
          </Section>
        </div>
      </div>
    </Page>
  );
}

function Headline({ home }: { home: Home }) {
  if (home.tableCount === 0) return <>Nothing has landed yet</>;
  if (home.problems.length > 0) return <>{counted(home.problems.length, 'thing needs', 'things need')} a person</>;
  if (home.stale.length > 0) return <>{counted(home.stale.length, 'table is', 'tables are')} behind</>;
  return <>Everything is fresh</>;
}

function HomeSentence({ home }: { home: Home }) {
  return (
    <Sentence
      parts={[
        counted(home.tableCount, 'table'),
        counted(home.rows, 'row'),
        counted(home.reportCount, 'report'),
        home.freshAsOf && (
          <span key="fresh">
            the least fresh as of <When at={home.freshAsOf} />
          </span>
        ),
      ]}
    />
  );
}

function QuickSearch() {
  const router = useRouter();
  const [text, setText] = useState('');
  return (
    <search>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          router.push(`/catalog?q=${encodeURIComponent(text.trim())}`);
        }}
      >
        <TextInput
          size="md"
          aria-label="Search tables and columns"
          placeholder="Find a table by its name, or by a column: fee, status, director"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      </form>
    </search>
  );
}

function ActivityList({ activity }: { activity: readonly Activity[] }) {
  if (activity.length === 0) {
    return (
      <EmptyState title="Nothing happened yet">
        Connect a database with <code>dailies apply</code>: what lands, runs and changes is told here.
      </EmptyState>
    );
  }
  // A report that runs all the time would fill the list: its latest run stands for the others.
  const told = new Set<string>();
  const latest = activity.filter((item) => {
    if (item.kind !== 'run') return true;
    const isNew = !told.has(item.report);
    told.add(item.report);
    return isNew;
  });
  return (
    <ul className={css.list}>
      {latest.slice(0, 16).map((item) => (
        <li key={keyOf(item)} className={css.item}>
          <span className={css.what}>
            <ActivityWords item={item} />
          </span>
          <span className={css.at}>
            <When at={item.at} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function ActivityWords({ item }: { item: Activity }) {
  switch (item.kind) {
    case 'table':
      return (
        <>
          <Link href={pathOf.table(item.table)}>{item.table}</Link> changed, {counted(item.rows, 'row')} now
        </>
      );
    case 'run':
      return (
        <>
          Report <Link href={pathOf.report(item.report)}>{item.report}</Link>{' '}
          {item.state === 'failed' ? 'failed' : item.state === 'partial' ? 'delivered in part' : 'ran'}
          {item.rows !== null && item.state !== 'failed' && `, ${counted(item.rows, 'row')}`}
        </>
      );
    case 'audit':
      if (item.action === 'definition.apply') return <>{item.actor} applied a definition</>;
      return (
        <>
          {item.actor} {auditWords[item.action] ?? item.action.replace(/[.-]/g, ' ')} <strong>{item.target}</strong>
        </>
      );
  }
}

const auditWords: Record<string, string> = {
  'pipeline.pause': 'paused the pipeline',
  'pipeline.resume': 'resumed the pipeline',
  'report.create': 'made the report',
  'report.change': 'changed the report',
  'report.remove': 'removed the report',
  'report.pause': 'paused the report',
  'report.resume': 'resumed the report',
  'person.roles': 'set the roles of',
  'person.invite': 'invited',
  'person.welcome': 'joined as',
  'token.create': 'made the API token',
  'token.revoke': 'revoked the API token',
  'secret.set': 'set the secret',
  'secret.remove': 'removed the secret',
  'source.resume': 'resumed the source',
};

function keyOf(item: Activity): string {
  const what = item.kind === 'table' ? item.table : item.kind === 'run' ? item.runId : `${item.action}${item.target}`;
  return `${item.kind}:${what}:${item.kind === 'table' ? '' : item.at.getTime()}`;
}

function MyReports({ mayWrite }: { mayWrite: boolean }) {
  const reports = useQuery({
    queryKey: ['reports', 'mine'],
    queryFn: ({ signal }) => api.home.myReports.query(undefined, { signal }),
    refetchInterval: 5000,
  });
  if (reports.isPending) return <Loading what="your reports" rows={3} />;
  if (!reports.data) return <Failure error={reports.error} retry={() => reports.refetch()} />;
  if (reports.data.length === 0) {
    return (
      <EmptyState
        title="You have no reports yet"
        action={
          mayWrite ? (
            <Button component={Link} href="/sql">
              Write SQL
            </Button>
          ) : (
            <Link href="/reports">See all reports</Link>
          )
        }
      >
        A report is a saved query that runs by itself and keeps a sheet, a base or a file current.
      </EmptyState>
    );
  }
  return (
    <ul className={css.list}>
      {reports.data.map((report) => (
        <li key={report.name} className={css.report}>
          <span className={css.item}>
            <Link href={pathOf.report(report.name)}>{report.title ?? report.name}</Link>
            {report.lastRun && (
              <StateBadge
                state={
                  report.isPaused ? 'paused' : report.lastRun.state === 'running' ? 'delivering' : report.lastRun.state
                }
              />
            )}
          </span>
          <span className="dim">
            <ScheduleSentence report={report} />
            {report.lastRun && (
              <>
                {' · '}
                <RunSentence run={report.lastRun} />
              </>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}
