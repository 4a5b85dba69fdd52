'use client';

import { Button, Menu } from '@mantine/core';
import { IconChevronDown, IconDatabase, IconReport } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { sqlTableName } from '#catalog/query/sql-name.ts';
import { api } from '../../components/api.ts';
import { CopyId } from '../../components/copy-id.tsx';
import { Failure, StoredFailure } from '../../components/failure.tsx';
import { FreshAsOf, TableBadge } from '../../components/freshness.tsx';
import { Loading } from '../../components/loading.tsx';
import { counted } from '../../components/numbers.ts';
import { Page, PageHeader, Sentence } from '../../components/page-header.tsx';
import { pathOf } from '../../components/paths.ts';
import { useWho } from '../../components/session.tsx';
import { TableAccess } from '../../components/table-access.tsx';
import { TableColumns } from '../../components/table-columns.tsx';
import { TableHistory } from '../../components/table-history.tsx';
import { TableLineage } from '../../components/table-lineage.tsx';
import { TableMaintenance } from '../../components/table-maintenance.tsx';
import { TableSample } from '../../components/table-sample.tsx';
import { TableUses } from '../../components/table-uses.tsx';
import { TabsInUrl } from '../../components/tabs-in-url.tsx';
import { useParam } from '../../components/use-param.ts';

export default function TablePage() {
  const name = useParam('table');
  const who = useWho();
  const table = useQuery({
    queryKey: ['tables', 'get', name],
    queryFn: ({ signal }) => api.tables.get.query({ name }, { signal }),
    refetchInterval: 2000,
  });
  if (table.isPending) return <Loading what={name} />;
  if (!table.data) {
    return (
      <Page>
        <PageHeader title={name} />
        <Failure error={table.error} retry={() => table.refetch()} />
        <p>
          <Link href={`/catalog?q=${encodeURIComponent(name)}`}>Search the catalog for “{name}”</Link>
        </p>
      </Page>
    );
  }
  const { data } = table;
  const select = `SELECT *\nFROM ${sqlTableName(name)}\nLIMIT 100`;
  return (
    <Page>
      <PageHeader
        title={
          <>
            {name} <TableBadge table={data} />
          </>
        }
        sentence={
          <Sentence
            parts={[
              data.title ?? data.description,
              counted(data.rows, 'row'),
              <FreshAsOf key="fresh" at={data.freshAsOf} />,
              data.owner ? `owned by ${data.owner}` : 'nobody owns it yet',
              data.pipeline ? (
                <span key="pipeline">
                  filled by <Link href={pathOf.pipeline(data.pipeline)}>{data.pipeline}</Link>
                </span>
              ) : data.sources.length === 0 ? (
                'written by engines through the Iceberg catalog'
              ) : (
                'no pipeline fills it any more'
              ),
            ]}
          />
        }
        actions={
          <>
            {who.mayRunSql && (
              <Button
                component={Link}
                href={`/sql?q=${encodeURIComponent(select)}&name=${encodeURIComponent(name)}`}
                variant="filled"
                leftSection={<IconDatabase size={15} aria-hidden />}
              >
                Query
              </Button>
            )}
            {who.mayWriteReports && (
              <Button
                component={Link}
                href={`/reports/new?sql=${encodeURIComponent(select)}`}
                leftSection={<IconReport size={15} aria-hidden />}
              >
                Report
              </Button>
            )}
            <HowToUse name={name} catalogUri={data.catalogUri} />
          </>
        }
      />
      {data.lastError && <StoredFailure error={data.lastError} what={`${name} is not being filled at the moment.`} />}
      <TabsInUrl
        parts={[
          { id: 'columns', label: 'Columns', panel: <TableColumns table={data} /> },
          { id: 'sample', label: 'Sample', panel: <TableSample name={name} /> },
          { id: 'uses', label: 'Queries & reports', panel: <TableUses table={data} /> },
          { id: 'lineage', label: 'Lineage', panel: <TableLineage name={name} /> },
          { id: 'history', label: 'History', panel: <TableHistory name={name} /> },
          { id: 'maintenance', label: 'Maintenance', panel: <TableMaintenance name={name} /> },
          { id: 'access', label: 'Access', panel: <TableAccess table={data} /> },
        ]}
      />
    </Page>
  );
}

/** The table's address for other tools. */
function HowToUse({ name, catalogUri }: { name: string; catalogUri: string | null }) {
  const origin = typeof window === 'undefined' ? '' : window.location.origin;
  return (
    <Menu width={360}>
      <Menu.Target>
        <Button rightSection={<IconChevronDown size={14} aria-hidden />}>Use elsewhere</Button>
      </Menu.Target>
      <Menu.Dropdown p="sm">
        <p style={{ margin: '0 0 8px' }}>
          {catalogUri === null ? (
            <>
              Any Iceberg reader opens it through the REST catalog, with an API token of yours as <code>token</code>:
            </>
          ) : (
            'Any Iceberg reader opens it through the catalog that it is in, with an access of yours to that one:'
          )}
        </p>
        <p style={{ margin: '0 0 4px' }}>
          uri <CopyId value={catalogUri ?? `${origin}/iceberg`} />
        </p>
        <p style={{ margin: 0 }}>
          table <CopyId value={name} />
        </p>
      </Menu.Dropdown>
    </Menu>
  );
}
