import { DailiesError } from '#catalog/error.ts';
import type { Requirement } from '../../source.ts';
import { type Connection, rowsOf, type ServerVersion } from './connection.ts';
import { errorNumber } from './connection-error.ts';
import type { SourceTable } from './discovery.ts';
import { logStatement, type Provider, providerOf, retentionStatement, settingStatement } from './provider.ts';
import { logStatus } from './server-head.ts';
import { quoteTable } from './sql.ts';

/** A requirement; without one that is `isBlocking` nothing can be read, without others something is at risk. */
export interface CheckedRequirement extends Requirement {
  isBlocking: boolean;
}

const day = 86_400;

/** Throws `source_not_ready` for the first thing without which the tables cannot be followed. */
export async function requireReady(
  connection: Connection,
  version: ServerVersion,
  tables: readonly SourceTable[],
): Promise<void> {
  const lacks = [...(await checkServer(connection, version)), ...(await checkTables(connection, version, tables))];
  const first = lacks.find(({ isBlocking }) => isBlocking);
  if (first === undefined) return;
  throw new DailiesError('source_not_ready', `${first.problem} Run: ${first.statement}`, {
    details: { statement: first.statement },
  });
}

/** What the server, and the user's privileges for all of it, still lack. */
export async function checkServer(connection: Connection, version: ServerVersion): Promise<CheckedRequirement[]> {
  const provider = await providerOf(connection);
  const lacks: CheckedRequirement[] = [];
  const oldest = version.flavor === 'mariadb' ? 100_500 : 80_000;
  if (version.number < oldest) {
    lacks.push({
      problem: `This is ${version.flavor === 'mariadb' ? 'MariaDB' : 'MySQL'} ${version.text}, whose log does not tell enough.`,
      statement: `Upgrade the server to ${version.flavor === 'mariadb' ? 'MariaDB 10.5' : 'MySQL 8.0'} or later.`,
      isBlocking: true,
    });
    return lacks;
  }
  const settings = await readSettings(connection);
  if (settings.get('log_bin') !== 'ON') {
    lacks.push({
      problem: 'log_bin is OFF, so the server writes no binary log.',
      statement: logStatement(provider),
      isBlocking: true,
    });
  }
  lacks.push(...checkSettings(settings, version, provider));
  lacks.push(...(await checkGrants(connection, version)));
  lacks.push(...checkRetention(await readRetention(connection, provider, settings), version, provider));
  return lacks;
}

async function readSettings(connection: Connection): Promise<Map<string, string>> {
  const rows = await rowsOf(connection, 'SHOW GLOBAL VARIABLES');
  return new Map(rows.map((row) => [row.variable_name ?? '', row.value ?? '']));
}

interface Wanted {
  name: string;
  isRight(value: string): boolean;
  value: string;
  why: string;
  isBlocking?: boolean;
}

const wanted: readonly Wanted[] = [
  {
    name: 'server_id',
    isRight: (value) => Number(value) > 0,
    value: '1',
    why: 'so the server cannot be followed',
  },
  {
    name: 'binlog_format',
    isRight: (value) => value === 'ROW',
    value: 'ROW',
    why: 'so the log tells statements in place of rows',
  },
  {
    name: 'binlog_row_image',
    isRight: (value) => value === 'FULL',
    value: 'FULL',
    why: 'so the log tells a part of each changed row only',
  },
  {
    name: 'binlog_row_metadata',
    isRight: (value) => value === 'FULL',
    value: 'FULL',
    why: 'so the log does not tell names, signs and character sets of columns',
  },
  {
    name: 'gtid_strict_mode',
    isRight: (value) => value === 'ON',
    value: 'ON',
    why: 'so a transaction made on a replica can put its history in disorder, and the tables are then read anew',
    isBlocking: false,
  },
];

function checkSettings(
  settings: ReadonlyMap<string, string>,
  { flavor }: ServerVersion,
  provider: Provider,
): CheckedRequirement[] {
  const lacks = wanted.flatMap(({ name, isRight, value, why, isBlocking = true }): CheckedRequirement[] => {
    const current = settings.get(name);
    if (current === undefined || isRight(current)) return [];
    const statement = settingStatement(provider, flavor, { name, value, needsRestart: false });
    return [{ problem: `${name} is ${current}, ${why}.`, statement, isBlocking }];
  });
  if (flavor === 'mysql' && settings.get('gtid_mode') !== 'ON') {
    const steps = [
      { name: 'enforce_gtid_consistency', value: 'ON', needsRestart: false },
      ...['OFF_PERMISSIVE', 'ON_PERMISSIVE', 'ON'].map((value) => ({ name: 'gtid_mode', value, needsRestart: false })),
    ];
    // A cloud's form takes the last value; a server is led there step by step.
    const shown = provider === null ? steps : steps.filter(({ value }) => value === 'ON');
    lacks.push({
      problem: `gtid_mode is ${settings.get('gtid_mode')}, so a transaction has no name by which it is found again on another server.`,
      statement: shown.map((step) => settingStatement(provider, flavor, step)).join(' '),
      isBlocking: true,
    });
  }
  return lacks;
}

async function checkGrants(connection: Connection, { flavor }: ServerVersion): Promise<CheckedRequirement[]> {
  const grants = (await rowsOf(connection, 'SHOW GRANTS')).map((row) => Object.values(row)[0] ?? '');
  const onAll = grants.filter((grant) => / ON \*\.\* TO /i.test(grant)).join('\n');
  const has = (privileges: RegExp) => /GRANT ALL PRIVILEGES/i.test(onAll) || privileges.test(onAll);
  const user = await quotedUser(connection);
  const monitor = flavor === 'mariadb' ? 'BINLOG MONITOR' : 'REPLICATION CLIENT';
  const lacks: CheckedRequirement[] = [];
  if (!has(/REPLICATION SLAVE(?! ADMIN)/i)) {
    lacks.push({
      problem: `User ${user} may not read the binary log.`,
      statement: `GRANT REPLICATION SLAVE ON *.* TO ${user};`,
      isBlocking: true,
    });
  }
  if (!has(/BINLOG MONITOR|REPLICATION CLIENT/i)) {
    lacks.push({
      problem: `User ${user} may not ask where the binary log ends.`,
      statement: `GRANT ${monitor} ON *.* TO ${user};`,
      isBlocking: true,
    });
  }
  return lacks;
}

async function quotedUser(connection: Connection): Promise<string> {
  const [row] = await rowsOf(connection, 'SELECT CURRENT_USER() AS user');
  const text = row?.user ?? '';
  const at = text.lastIndexOf('@');
  const quote = (part: string) => `'${part.replaceAll("'", "''")}'`;
  return `${quote(text.slice(0, at))}@${quote(text.slice(at + 1))}`;
}

/** Amazon purges logs by a setting of its own; null where that is not asked or not answered. */
async function rdsRetentionHours(connection: Connection, provider: Provider): Promise<number | null> {
  if (provider !== 'rds') return null;
  try {
    const [row] = await rowsOf(
      connection,
      "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'",
    );
    // NULL there is: as soon as nobody needs them.
    return row ? Number(row.value ?? 0) : null;
  } catch (thrown) {
    if (errorNumber(thrown) === null) throw thrown;
    return null;
  }
}

/** For how many seconds the server keeps its log; null where it does so for ever. */
export async function readRetention(
  connection: Connection,
  provider: Provider,
  known?: ReadonlyMap<string, string>,
): Promise<number | null> {
  const rdsHours = await rdsRetentionHours(connection, provider);
  if (rdsHours !== null) return rdsHours * 3600;
  const settings = known ?? (await readSettings(connection));
  return (
    Number(settings.get('binlog_expire_logs_seconds') ?? 0) ||
    Number(settings.get('expire_logs_days') ?? 0) * day ||
    null
  );
}

export function durationText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} minutes`;
  return `${Math.round(seconds / 3_600)} hours`;
}

function checkRetention(seconds: number | null, { flavor }: ServerVersion, provider: Provider): CheckedRequirement[] {
  if (seconds === null || seconds >= 3 * day) return [];
  return [
    {
      problem: `The server keeps its binary log for ${durationText(seconds)}; if Dailies stands still for longer, all tables are read anew.`,
      statement: retentionStatement(provider, flavor, 7 * day),
      isBlocking: false,
    },
  ];
}

/** What each table lacks. */
export async function checkTables(
  connection: Connection,
  version: ServerVersion,
  tables: readonly SourceTable[],
): Promise<CheckedRequirement[]> {
  const lacks: CheckedRequirement[] = [];
  const user = await quotedUser(connection);
  const left = await leftOutDatabases(connection, version);
  for (const table of tables) {
    const name = quoteTable(table.database, table.tableName);
    if (!(await mayRead(connection, name))) {
      lacks.push({
        problem: `User ${user} may not read ${table.name}.`,
        statement: `GRANT SELECT ON ${name} TO ${user};`,
        isBlocking: true,
      });
    }
    if (left(table.database)) {
      lacks.push({
        problem: `The server leaves database ${table.database} out of its binary log, and with it ${table.name}.`,
        statement: `In the server's configuration remove binlog_do_db and binlog_ignore_db, then restart it.`,
        isBlocking: true,
      });
    }
    if (table.key.length === 0) {
      lacks.push({
        problem: table.isTransactional
          ? `${table.name} has no primary key, so its rows are matched whole, and it is read again as a whole where others are read in parts.`
          : `${table.name} has no primary key, and its engine does not roll back: it cannot be read as of one moment, and is not followed.`,
        statement: `ALTER TABLE ${name} ADD PRIMARY KEY (…);`,
        isBlocking: false,
      });
    }
  }
  return lacks;
}

async function mayRead(connection: Connection, name: string): Promise<boolean> {
  try {
    await rowsOf(connection, `SELECT 1 FROM ${name} LIMIT 0`);
    return true;
  } catch (thrown) {
    if ([1142, 1143, 1044].includes(errorNumber(thrown) ?? 0)) return false;
    throw thrown;
  }
}

async function leftOutDatabases(
  connection: Connection,
  version: ServerVersion,
): Promise<(database: string) => boolean> {
  const [row] = await rowsOf(connection, logStatus(version)).catch((thrown) => {
    // Without the privilege to ask, that one is told first.
    if (errorNumber(thrown) === 1227) return [];
    throw thrown;
  });
  const listed = (text: string | null | undefined) => (text ?? '').split(',').filter((database) => database !== '');
  const [only, ignored] = [listed(row?.binlog_do_db), listed(row?.binlog_ignore_db)];
  return (database) => ignored.includes(database) || (only.length > 0 && !only.includes(database));
}
