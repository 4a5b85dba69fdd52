'use client';

import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { snapshotText } from '#catalog/services/source/snapshot-text.ts';
import { type Answers, api, problemOf } from '../components/api.ts';
import { CopyId } from '../components/copy-id.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Failure } from '../components/failure.tsx';
import { ListTable } from '../components/list-table.tsx';
import { Loading } from '../components/loading.tsx';
import { bytes, count, counted } from '../components/numbers.ts';
import { Page, PageHeader, Section, Sentence } from '../components/page-header.tsx';
import { SourceTrouble } from '../components/source-trouble.tsx';
import { StateBadge } from '../components/state-badge.tsx';
import { duration, When } from '../components/when.tsx';

type Overview = Answers['system']['get'];

const parts: Record<Overview['disk'][number]['part'], string> = {
  log: 'Log: changes on their way',
  warehouse: 'Warehouse: the tables',
  cache: 'Files read from S3, kept for the next query',
  index: 'Key indexes of the tables',
  results: 'Results of queries',
  postgres: 'State database',
  studio: 'Sample studio',
};

export default function SystemPage() {
  const system = useQuery({
    queryKey: ['system'],
    queryFn: ({ signal }) => api.system.get.query(undefined, { signal }),
    refetchInterval: 10_000,
  });
  if (system.isPending) return <Loading what="the system" />;
  if (!system.data) {
    return (
      <Page>
        <PageHeader title="System" />
        <Failure error={system.error} retry={() => system.refetch()} />
      </Page>
    );
  }
  const { data } = system;
  const total = data.disk.reduce((sum, part) => sum + part.bytes, 0);
  return (
    <Page>
      <PageHeader
        title="System"
        sentence={
          <Sentence
            parts={[
              `up for ${duration(data.upSeconds * 1000)}`,
              `${bytes(total)} on disk`,
              `${counted(data.connections, 'connection')} to the state database`,
              ...data.versions.map((version) => `${version.name} ${version.version}`),
            ]}
          />
        }
      />
      <Section title="Sources">
        <Sources />
      </Section>
      <Section title="Disk" aside={<CopyId value={data.home} />}>
        <ListTable
          label="Disk"
          rows={data.disk}
          rowKey={(part) => part.part}
          columns={[
            { head: 'Part', cell: (part) => parts[part.part] },
            { head: 'Folder', cell: (part) => <span className="mono dim">{part.part}</span> },
            { head: 'Size', align: 'right', cell: (part) => bytes(part.bytes) },
          ]}
        />
      </Section>
      <Section title="Secrets" aside="set by “dailies secret set NAME”; values are never shown">
        <Secrets />
      </Section>
    </Page>
  );
}

function Sources() {
  const client = useQueryClient();
  const sources = useQuery({
    queryKey: ['system', 'sources'],
    queryFn: ({ signal }) => api.system.sources.query(undefined, { signal }),
    refetchInterval: 3000,
  });
  const resume = useMutation({
    mutationFn: (name: string) => api.system.resumeSource.mutate({ name }),
    onSettled: () => client.invalidateQueries({ queryKey: ['system', 'sources'] }),
    onError: (error) => notifications.show({ color: 'red', message: problemOf(error).message }),
  });
  if (sources.isPending) return <Loading what="the sources" rows={3} />;
  if (!sources.data) return <Failure error={sources.error} retry={() => sources.refetch()} />;
  if (sources.data.length === 0) {
    return (
      <EmptyState title="No database is connected">
        Name one under “sources” in a definition file and run <code>dailies apply FILE</code>.{' '}
        <code>dailies check URL</code> tells what it still needs.
      </EmptyState>
    );
  }
  return (
    <ListTable
      label="Sources"
      rows={sources.data}
      rowKey={(source) => source.name}
      columns={[
        { head: 'Source', cell: (source) => <strong>{source.name}</strong> },
        { head: 'State', width: '110px', cell: (source) => <StateBadge state={source.state} /> },
        { head: 'Tables', align: 'right', cell: (source) => count(source.tables.length) },
        {
          head: 'Snapshots under way',
          cell: (source) =>
            source.tables.map(
              ({ name, snapshot }) =>
                snapshot && (
                  <div key={name}>
                    <span className="mono">{name}</span> {snapshotText(snapshot)}
                  </div>
                ),
            ),
        },
        { head: 'Held up to', cell: (source) => <When at={source.coveredAt} none="not yet" /> },
        {
          head: 'Last change there',
          cell: (source) => <When at={source.sourceTime} none="none seen" />,
          isExtra: true,
        },
        {
          head: 'What happened',
          cell: (source) => <SourceTrouble source={source} />,
        },
        {
          head: '',
          width: '90px',
          cell: (source) =>
            source.state === 'failed' && (
              <Button size="compact-sm" onClick={() => resume.mutate(source.name)}>
                Resume
              </Button>
            ),
        },
      ]}
    />
  );
}

function Secrets() {
  const secrets = useQuery({ queryKey: ['system', 'secrets'], queryFn: () => api.system.secrets.query() });
  if (secrets.isPending) return <Loading what="which secrets are set" rows={2} />;
  if (!secrets.data) return <Failure error={secrets.error} retry={() => secrets.refetch()} />;
  if (secrets.data.length === 0) return <p className="dim">None is set.</p>;
  return (
    <ListTable
      label="Secrets"
      rows={secrets.data}
      rowKey={(secret) => secret.name}
      columns={[
        { head: 'Name', cell: (secret) => <span className="mono">{secret.name}</span> },
        { head: 'Used by', cell: (secret) => secret.usedBy.join(', ') || <span className="dim">nothing</span> },
        { head: 'Set', cell: (secret) => <When at={secret.updatedAt} /> },
      ]}
    />
  );
}
