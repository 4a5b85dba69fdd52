import { type Connection, rowsOf } from './connection.ts';

/** Who runs the server, where that changes how it is set up. */
export type Provider = 'rds' | 'cloud-sql' | 'azure' | null;

export async function providerOf(connection: Connection): Promise<Provider> {
  const [row] = await rowsOf(
    connection,
    'SELECT @@basedir AS basedir, @@version_comment AS comment, VERSION() AS version, @@hostname AS host',
  );
  const text = `${row?.version} ${row?.comment}`;
  // Amazon's servers live under /rdsdbbin, Google's say so in their version, Azure's in a comment or parameters of their own.
  if (row?.basedir?.startsWith('/rdsdbbin')) return 'rds';
  if (/google/i.test(text)) return 'cloud-sql';
  const azure = await rowsOf(connection, "SHOW GLOBAL VARIABLES LIKE 'azure%'");
  return azure.length > 0 || /azure/i.test(text) ? 'azure' : null;
}

export interface Setting {
  name: string;
  value: string;
  /** Read only at the server's start. */
  needsRestart: boolean;
}

/** What somebody runs, or sets where, to change a setting for good. */
export function settingStatement(provider: Provider, flavor: 'mysql' | 'mariadb', setting: Setting): string {
  const { name, value, needsRestart } = setting;
  switch (provider) {
    case 'rds':
      return `In the parameter group of the instance on Amazon RDS or Aurora set ${name} = ${value}, then reboot it.`;
    case 'cloud-sql':
      return `gcloud sql instances patch INSTANCE --database-flags=${name}=${value}   (with all other flags of the instance, which this replaces)`;
    case 'azure':
      return `az mysql flexible-server parameter set --resource-group GROUP --server-name SERVER --name ${name} --value ${value}`;
    default:
      if (needsRestart) return `Under [mysqld] in the server's configuration set ${name} = ${value}, then restart it.`;
      // MariaDB forgets what is set by a statement at its next start.
      if (flavor === 'mariadb')
        return `SET GLOBAL ${name} = ${value}; -- and ${name} = ${value} under [mysqld] in its configuration`;
      return `SET PERSIST ${name} = ${value};`;
  }
}

/** How the binary log itself is switched on. */
export function logStatement(provider: Provider): string {
  switch (provider) {
    case 'rds':
      return 'Switch on automated backups of the instance on Amazon RDS (on Aurora: set binlog_format = ROW in its cluster parameter group), then reboot it.';
    case 'cloud-sql':
      return 'gcloud sql instances patch INSTANCE --enable-bin-log';
    case 'azure':
      return 'Azure always writes the binary log; restore the default parameters of the server.';
    default:
      return "Under [mysqld] in the server's configuration set log_bin = binlog, then restart it.";
  }
}

/** How a longer memory of the log is had. */
export function retentionStatement(provider: Provider, flavor: 'mysql' | 'mariadb', seconds: number): string {
  if (provider === 'rds') return `CALL mysql.rds_set_configuration('binlog retention hours', ${seconds / 3600});`;
  const setting = { name: 'binlog_expire_logs_seconds', value: String(seconds), needsRestart: false };
  return settingStatement(provider, flavor, setting);
}
