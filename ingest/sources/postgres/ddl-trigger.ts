import type pg from 'pg';
import type { Offer } from '../../source.ts';
import { rowsOf } from './connection.ts';
import { type Provider, readProvider } from './provider.ts';
import { tableRowsQuery } from './table-rows-query.ts';

/** Begins what our event triggers write with pg_logical_emit_message. */
export const ddlPrefix = 'dailies.ddl';

/**
 * `current`: all of them are there, switched on and as this version makes them; `other`: some are, or of another version;
 * `absent`; `unsupported`: before Postgres 14 the stream tells no messages.
 */
export interface DdlTrigger {
  state: 'current' | 'other' | 'absent' | 'unsupported';
  /** Another one once they were made anew; null unless current. */
  id: string | null;
}

/*
 * The function runs as whoever alters something, needs no right of theirs, and finds names in pg_catalog alone. Whatever
 * fails in it is a warning: no DDL of an application fails through us. What it writes is UTF-8 in the transaction of the
 * DDL, so that it stands in the stream between the rows before and behind it and goes with it if it is rolled back: the id of
 * the (sub)transaction that has last written to the catalogs of these tables (0: of none), a space, and JSON:
 *
 *     {"rewritten": [oid, …]}                                  rows of these tables are about to read differently
 *     {"tables": [{row of table-rows-query.ts}, …],            tables that we publish, as they are now
 *      "names": ["schema.table", …],                           other tables that were made, renamed or altered
 *      "gone": ["schema.table", …]}                            tables that were dropped
 */
const body = `
DECLARE
  touched oid[] := '{}';
  followed oid[];
  gone text[] := '{}';
  message jsonb := '{}';
  xid text;
BEGIN
  IF TG_EVENT = 'table_rewrite' THEN
    -- 2: a default that each row has its own of, 4: another type; all else keeps what the rows read as.
    IF pg_event_trigger_table_rewrite_reason() & 6 = 0 THEN RETURN; END IF;
    touched := ARRAY(
      SELECT relid::oid FROM pg_partition_ancestors(pg_event_trigger_table_rewrite_oid()) UNION SELECT pg_event_trigger_table_rewrite_oid());
  ELSIF TG_EVENT = 'sql_drop' THEN
    -- A type, a domain or an extension takes columns of other tables with it.
    touched := ARRAY(SELECT objid FROM pg_event_trigger_dropped_objects() WHERE classid = 'pg_class'::regclass AND objsubid > 0);
    gone := ARRAY(SELECT schema_name || '.' || object_name FROM pg_event_trigger_dropped_objects()
      WHERE classid = 'pg_class'::regclass AND objsubid = 0 AND object_type = 'table' AND NOT is_temporary);
  ELSE
    touched := ARRAY(
      SELECT objid FROM pg_event_trigger_ddl_commands() WHERE classid = 'pg_class'::regclass
      UNION SELECT c.oid FROM pg_event_trigger_ddl_commands() d JOIN pg_type t ON t.oid = d.objid JOIN pg_class c ON c.reloftype = t.oid
       WHERE d.classid = 'pg_type'::regclass
      UNION SELECT c.oid FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.relnamespace = d.objid
       WHERE d.classid = 'pg_namespace'::regclass AND d.command_tag = 'ALTER SCHEMA');
  END IF;
  -- Tables that inherit are altered with theirs.
  followed := ARRAY(
    WITH RECURSIVE heirs AS (
      SELECT unnest(touched) AS oid UNION SELECT i.inhrelid FROM heirs h JOIN pg_inherits i ON i.inhparent = h.oid
    )
    SELECT c.oid FROM heirs h JOIN pg_class c ON c.oid = h.oid
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
       AND EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
         WHERE r.prrelid = c.oid AND starts_with(p.pubname::text, 'dailies_')));
  IF TG_EVENT = 'table_rewrite' THEN
    IF followed <> '{}' THEN message := jsonb_build_object('rewritten', to_jsonb(followed)); END IF;
  ELSE
    message := jsonb_strip_nulls(jsonb_build_object(
      'tables', (SELECT jsonb_agg(to_jsonb(t)) FROM (${tableRowsQuery('followed').trim()}) AS t),
      'names', (SELECT jsonb_agg(n.nspname || '.' || c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = ANY (touched) AND c.oid <> ALL (followed) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
          AND NOT c.relispartition),
      'gone', CASE WHEN gone <> '{}' THEN to_jsonb(gone) END));
  END IF;
  IF message <> '{}' THEN
    xid := (
      SELECT r.xmin FROM (
        SELECT xmin FROM pg_class WHERE oid = ANY (followed)
        UNION ALL SELECT xmin FROM pg_attribute WHERE attrelid = ANY (followed)
        UNION ALL SELECT xmin FROM pg_index WHERE indrelid = ANY (followed)) r ORDER BY age(r.xmin) LIMIT 1);
    PERFORM pg_logical_emit_message(true, '${ddlPrefix}', convert_to(coalesce(xid, '0') || ' ' || message::text, 'UTF8'));
    -- The server orders a message by where its record ends, a row by where its own begins: of two subtransactions that are
    -- at one place the row might come first. Behind this one there may be a row, behind the first there is none.
    PERFORM pg_logical_emit_message(true, 'dailies', '');
  END IF;
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'Dailies is not told of this change of a schema, and sees it at the next row: %', SQLERRM;
END
`;

const triggers = [
  {
    name: 'dailies_ddl',
    on: `ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA', 'ALTER SCHEMA', 'ALTER TYPE')`,
  },
  { name: 'dailies_drop', on: 'sql_drop' },
  { name: 'dailies_rewrite', on: 'table_rewrite' },
];

/**
 * To be run once by somebody who may make event triggers; again at any time, to the same end. The schema has a name that no
 * role is likely to have: one that is called as a role comes first in that role's search_path.
 */
export const triggerStatement = `BEGIN;
CREATE SCHEMA IF NOT EXISTS dailies_ddl;
CREATE OR REPLACE FUNCTION dailies_ddl.tell() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $dailies$${body}$dailies$;
${triggers
  .map(
    ({ name, on }) => `DROP EVENT TRIGGER IF EXISTS ${name};
CREATE EVENT TRIGGER ${name} ON ${on} EXECUTE FUNCTION dailies_ddl.tell();
ALTER EVENT TRIGGER ${name} ENABLE ALWAYS;`,
  )
  .join('\n')}
COMMIT;`;

/** Where the triggers are, as far as anybody may see it. */
export async function readDdlTrigger(client: pg.Client): Promise<DdlTrigger> {
  const rows = await rowsOf(client, triggerQuery, [`{${triggers.map(({ name }) => name).join(',')}}`]);
  const [first] = rows;
  if (Number(first?.version) < 140_000) return { state: 'unsupported', id: null };
  const found = rows.filter(({ id }) => id !== null);
  if (found.length === 0) return { state: 'absent', id: null };
  const isCurrent =
    found.length === triggers.length && found.every((row) => row.is_on === 't' && flat(row.body) === flat(body));
  return isCurrent ? { state: 'current', id: found.map(({ id }) => id).join('.') } : { state: 'other', id: null };
}

/** Whoever pastes a statement may have it indented otherwise. */
function flat(text: string | null | undefined): string {
  return (text ?? '').replace(/\s+/g, ' ').trim();
}

// Switched off for all of a server (event_triggers, from 17 on), for one trigger, or in replica's sessions alone.
const triggerQuery = `
SELECT current_setting('server_version_num') AS version, t.oid AS id, p.prosrc AS body,
  t.evtenabled = 'A' AND coalesce(current_setting('event_triggers', true), 'on') = 'on' AS is_on
FROM (VALUES (1)) one LEFT JOIN pg_event_trigger t ON t.evtname = ANY ($1::name[]) LEFT JOIN pg_proc p ON p.oid = t.evtfoid
ORDER BY t.evtname`;

/** What the triggers bring, and how they come; null before Postgres 14, whose stream cannot tell. */
export async function triggerOffer(client: pg.Client): Promise<Offer | null> {
  const { state } = await readDdlTrigger(client);
  if (state === 'unsupported') return null;
  if (state === 'current') {
    return { benefit: 'Event triggers tell of changes to schemas at once, a rename as what it is.', statement: null };
  }
  const maker = triggerMaker(await readProvider(client));
  const lack = state === 'absent' ? '' : ' Those that are there are of another version, or switched off: run it again.';
  return {
    benefit: `With event triggers, changes to schemas are told at once and a rename as what it is; without, a table's are seen at its next row, and a renamed column is read again.${lack} To be run by ${maker}, in psql or any other client, as it stands.`,
    statement: triggerStatement,
  };
}

/** Who may run `triggerStatement`. */
function triggerMaker(provider: Provider): string {
  switch (provider) {
    case 'rds':
      return 'a member of rds_superuser; Amazon RDS wants event triggers dropped before an upgrade to another major version, and this run again after it';
    case 'cloud-sql':
      return 'a member of cloudsqlsuperuser';
    case 'alloydb':
      return 'a member of alloydbsuperuser';
    case 'azure':
      return 'a member of azure_pg_admin';
    default:
      return 'a superuser';
  }
}
