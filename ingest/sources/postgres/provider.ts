import type pg from 'pg';
import { rowsOf } from './connection.ts';

/** Who runs the server, where that changes how it is set up: seen by roles and settings that only theirs have. */
export type Provider = 'rds' | 'cloud-sql' | 'alloydb' | 'azure' | null;

/** Told by roles, which everybody may read. */
export async function readProvider(client: pg.Client): Promise<Provider> {
  const [row] = await rowsOf(client, providerQuery);
  return (row?.provider ?? null) as Provider;
}

const providerQuery = `
SELECT CASE
    WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'rds_superuser') THEN 'rds'
    WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'alloydbsuperuser') THEN 'alloydb'
    WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'cloudsqlsuperuser') THEN 'cloud-sql'
    WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'azure_pg_admin') THEN 'azure'
  END AS provider`;

/** How a server comes to write what logical replication needs. */
export function logicalStatement(provider: Provider): string {
  switch (provider) {
    case 'rds':
      return 'In the parameter group of the instance on Amazon RDS (of the cluster on Aurora) set rds.logical_replication = 1, then reboot it.';
    case 'cloud-sql':
      return 'gcloud sql instances patch INSTANCE --database-flags=cloudsql.logical_decoding=on   (with all other flags of the instance, which this replaces)';
    case 'alloydb':
      return 'gcloud alloydb instances update INSTANCE --cluster=CLUSTER --region=REGION --database-flags=alloydb.logical_decoding=on   (with all other flags of the instance, which this replaces)';
    case 'azure':
      return `${azureParameter('wal_level', 'logical')} && az postgres flexible-server restart --resource-group GROUP --name SERVER`;
    default:
      return settingStatement(provider, { name: 'wal_level', value: 'logical', needsRestart: true });
  }
}

export interface Setting {
  name: string;
  value: string;
  /** Read only at the server's start. */
  needsRestart: boolean;
}

/** What somebody runs, or sets where, to change a setting for good. */
export function settingStatement(provider: Provider, { name, value, needsRestart }: Setting): string {
  switch (provider) {
    case 'rds':
      return `In the parameter group of the instance on Amazon RDS (of the cluster on Aurora) set ${name} = ${value}${needsRestart ? ', then reboot it' : ''}.`;
    case 'cloud-sql':
      return `gcloud sql instances patch INSTANCE --database-flags=${name}=${value}   (with all other flags of the instance, which this replaces)`;
    case 'alloydb':
      return `gcloud alloydb instances update INSTANCE --cluster=CLUSTER --region=REGION --database-flags=${name}=${value}   (with all other flags of the instance, which this replaces)`;
    case 'azure':
      return `${azureParameter(name, value)}${needsRestart ? ' && az postgres flexible-server restart --resource-group GROUP --name SERVER' : ''}`;
    default: {
      const set = `ALTER SYSTEM SET ${name} = ${/^\d+$/.test(value) ? value : `'${value}'`};`;
      return needsRestart ? `${set} -- then restart the server` : `${set} SELECT pg_reload_conf();`;
    }
  }
}

/** How a role is allowed to read the stream of changes. `role` is quoted. */
export function replicationStatement(provider: Provider, role: string): string {
  return provider === 'rds' ? `GRANT rds_replication TO ${role};` : `ALTER ROLE ${role} REPLICATION;`;
}

function azureParameter(name: string, value: string): string {
  return `az postgres flexible-server parameter set --resource-group GROUP --server-name SERVER --name ${name} --value ${value}`;
}
