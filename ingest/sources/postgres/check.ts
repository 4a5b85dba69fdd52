import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { Requirement } from '../../source.ts';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import type { ServerNames } from './names.ts';
import { logicalStatement, type Provider, readProvider, replicationStatement, settingStatement } from './provider.ts';
import { emitMessage, isStandby } from './server-head.ts';
import { slotThreats } from './slot-watch.ts';
import { quoteIdentifier, quoteTable } from './sql.ts';
import { identityProblem, identityStatement } from './table-shape.ts';

/** A requirement; without one that is `isBlocking` nothing can be read, without others only a part is missing. */
export interface CheckedRequirement extends Requirement {
  isBlocking: boolean;
  /** schema.table, where it is one table's alone. */
  table?: string;
}

/** Nothing can be read while that is missing. */
export function notReady({ problem, statement, table }: CheckedRequirement): DailiesError {
  return new DailiesError('source_not_ready', `${problem} Run: ${statement}`, {
    details: { statement, ...(table === undefined ? {} : { table }) },
  });
}

/** What the server, then each table, still lacks before `names` can be made and read. */
export async function checkServer(client: pg.Client, names: ServerNames): Promise<CheckedRequirement[]> {
  const [row] = await rowsOf(client, serverQuery, [names.slot, names.publication]);
  const provider = await readProvider(client);
  const user = row?.user_name ?? '';
  const lacks: CheckedRequirement[] = [];
  const lack = (problem: string, statement: string) => lacks.push({ problem, statement, isBlocking: true });
  const onStandby = row?.is_standby === 't';
  if (onStandby && Number(row?.version) < 160_000) {
    lack(
      'This server is a standby, whose stream of changes can be read from Postgres 16 on only.',
      "Use the primary server's address.",
    );
    return lacks;
  }
  if (onStandby && row?.has_feedback !== 't') {
    lacks.push({
      problem:
        'This server is a standby with hot_standby_feedback = off: it may have to remove rows of its catalogs that the slot still needs, gives the slot up then, and all tables have to be read again.',
      statement: settingStatement(provider, { name: 'hot_standby_feedback', value: 'on', needsRestart: false }),
      isBlocking: false,
    });
  }
  if (row?.wal_level !== 'logical') {
    lack(
      `wal_level is ${row?.wal_level}, so the server does not write down what logical replication needs.`,
      logicalStatement(provider),
    );
  }
  if (row?.may_replicate !== 't') {
    lack(`User "${user}" may not read the stream of changes.`, replicationStatement(provider, quoteIdentifier(user)));
  }
  if (!onStandby && row?.has_publication !== 't' && row?.may_create !== 't') {
    lack(
      `User "${user}" may not make a publication in database "${row?.database}".`,
      `GRANT CREATE ON DATABASE ${quoteIdentifier(row?.database ?? '')} TO ${quoteIdentifier(user)};`,
    );
  }
  if (!onStandby && row?.has_publication === 't' && row.owns_publication !== 't') {
    lack(
      `The publication ${names.publication} belongs to another user than "${user}".`,
      `ALTER PUBLICATION ${quoteIdentifier(names.publication)} OWNER TO ${quoteIdentifier(user)};`,
    );
  }
  if (row?.may_emit !== 't') {
    lacks.push({
      problem: `User "${user}" may not write messages of its own into the log, so that a transaction that stays open can hold back what is told of other tables.`,
      statement: `GRANT EXECUTE ON FUNCTION ${row?.emit_function} TO ${quoteIdentifier(user)};`,
      isBlocking: false,
    });
  }
  // One more than the lasting slot: a snapshot of tables that join later needs it for a while.
  const needed = row?.has_slot === 't' ? 1 : 2;
  for (const [setting, used, limit] of [
    ['max_replication_slots', Number(row?.slots), Number(row?.max_slots)],
    ['max_wal_senders', Number(row?.senders), Number(row?.max_senders)],
  ] as const) {
    if (limit - used >= needed || (setting === 'max_wal_senders' && row?.has_slot === 't')) continue;
    lacks.push({
      problem: `${setting} is ${limit} and ${used} are in use; this source needs ${needed} more.`,
      statement: settingStatement(provider, { name: setting, value: String(used + needed), needsRestart: true }),
      isBlocking: limit - used < 1,
    });
  }
  return [...lacks, ...(await checkSlot(client, names, provider))];
}

/** What threatens our slot, or would while we are away: each costs a snapshot of all tables once it has happened. */
async function checkSlot(client: pg.Client, names: ServerNames, provider: Provider): Promise<CheckedRequirement[]> {
  const threats = await slotThreats(client, names, provider);
  const lacks = threats
    // Told whether the slot is idle or not.
    .filter(({ code }) => code === 'slot_behind' || code === 'slot_lost')
    .map(({ problem, statement }) => ({ problem, statement: statement ?? '', isBlocking: false }));
  const [row] = await rowsOf(client, idleQuery);
  if (row) {
    lacks.push({
      problem: `idle_replication_slot_timeout is ${row.text}: while Dailies is away for longer, the server gives up its slot, and all tables have to be read again.`,
      statement: settingStatement(provider, { name: 'idle_replication_slot_timeout', value: '0', needsRestart: false }),
      isBlocking: false,
    });
  }
  return lacks;
}

const idleQuery = `
SELECT current_setting(name) AS text FROM pg_settings WHERE name = 'idle_replication_slot_timeout' AND setting <> '0'`;

const serverQuery = `
SELECT current_user AS user_name, current_database() AS database, pg_is_in_recovery() AS is_standby,
  current_setting('wal_level') AS wal_level, current_setting('server_version_num') AS version,
  current_setting('hot_standby_feedback') = 'on' AS has_feedback,
  (SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_proc WHERE ${emitMessage}) AS may_emit,
  (SELECT min(oid::regprocedure::text) FROM pg_proc WHERE ${emitMessage}) AS emit_function,
  (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
    OR EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(oid, 'MEMBER')) AS may_replicate,
  has_database_privilege(current_database(), 'CREATE') AS may_create,
  EXISTS (SELECT 1 FROM pg_publication WHERE pubname = $2) AS has_publication,
  (SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = $2) AS owns_publication,
  EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1) AS has_slot,
  (SELECT count(*) FROM pg_replication_slots) AS slots, current_setting('max_replication_slots') AS max_slots,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender') AS senders, current_setting('max_wal_senders') AS max_senders`;

export async function checkTables(client: pg.Client, tables: readonly SourceTable[]): Promise<CheckedRequirement[]> {
  if (tables.length === 0) return [];
  // Whoever publishes them does so on the primary.
  const isPublisher = !(await isStandby(client));
  const rows = await rowsOf(
    client,
    `SELECT c.oid, current_user AS user_name, pg_get_userbyid(c.relowner) AS owner, n.nspname,
       has_schema_privilege(n.oid, 'USAGE') AS may_use, has_table_privilege(c.oid, 'SELECT') AS may_read,
       pg_has_role(c.relowner, 'USAGE') AS owns, row_security_active(c.oid) AS hides_rows
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`,
    [`{${tables.map((table) => table.oid).join(',')}}`],
  );
  const byOid = new Map(rows.map((row) => [Number(row.oid), row]));
  const lacks: CheckedRequirement[] = [];
  const lackingSchemas = new Set<string>();
  for (const table of tables) {
    const row = byOid.get(table.oid);
    const user = row?.user_name ?? '';
    const name = quoteTable(table.schemaName, table.tableName);
    const lack = (problem: string, statement: string) =>
      lacks.push({ problem, statement, isBlocking: true, table: table.name });
    if (row?.may_use === 'f' && !lackingSchemas.has(table.schemaName)) {
      lackingSchemas.add(table.schemaName);
      lack(
        `User "${user}" may not use schema ${table.schemaName}.`,
        `GRANT USAGE ON SCHEMA ${quoteIdentifier(table.schemaName)} TO ${quoteIdentifier(user)};`,
      );
    }
    if (row?.may_read === 'f') {
      lack(`User "${user}" may not read ${table.name}.`, `GRANT SELECT ON ${name} TO ${quoteIdentifier(user)};`);
    }
    if (isPublisher && row?.owns === 'f') {
      lack(
        `User "${user}" may not publish ${table.name}, for only its owner "${row.owner}" may.`,
        `GRANT ${quoteIdentifier(row.owner ?? '')} TO ${quoteIdentifier(user)};`,
      );
    }
    if (row?.hides_rows === 't') {
      lack(
        `Row-level security hides rows of ${table.name} from user "${user}".`,
        `ALTER ROLE ${quoteIdentifier(user)} BYPASSRLS;`,
      );
    }
    if (table.identity === 'none') {
      lacks.push({
        problem: `${identityProblem(table)}; its inserts are.`,
        statement: identityStatement(table),
        isBlocking: false,
      });
    }
  }
  return lacks;
}
