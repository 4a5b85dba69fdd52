import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { checkServer } from '#ingest/sources/postgres/check.ts';
import { connect, rowsOf } from '#ingest/sources/postgres/connection.ts';
import { serverNames } from '#ingest/sources/postgres/names.ts';
import { logicalStatement, settingStatement } from '#ingest/sources/postgres/provider.ts';

const names = serverNames('studio');

describe('what a server lacks, in its provider’s own words', () => {
  let dir: string;
  let server: EmbeddedPostgres;
  let client: pg.Client;

  beforeAll(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-check-'));
    fs.chmodSync(dir, 0o755);
    const settings = {
      wal_level: 'replica',
      max_replication_slots: '0',
      max_wal_senders: '0',
      idle_replication_slot_timeout: '60s',
    };
    server = await startEmbeddedPostgres({ dir: path.join(dir, 'pg'), isThrowaway: true, settings });
    client = await connect(server.url('postgres'), 'query', new AbortController().signal);
  }, 120_000);

  afterAll(async () => {
    await client.end();
    await server.close();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  const lacks = async () => {
    const found = await checkServer(client, names);
    return found.map(({ problem, statement }) => [problem.split(' ')[0], statement]);
  };

  test('a server of one’s own is set by SQL', async () => {
    expect(await lacks()).toEqual([
      ['wal_level', "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server"],
      ['max_replication_slots', 'ALTER SYSTEM SET max_replication_slots = 2; -- then restart the server'],
      ['max_wal_senders', 'ALTER SYSTEM SET max_wal_senders = 2; -- then restart the server'],
      ['idle_replication_slot_timeout', 'ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();'],
    ]);
  });

  // The marks of the managed ones are roles, which any server can have.
  test.each([
    [
      'rds_superuser',
      'rds',
      /parameter group.*rds\.logical_replication = 1, then reboot/,
      /max_wal_senders = 2, then reboot/,
    ],
    [
      'cloudsqlsuperuser',
      'cloud-sql',
      /gcloud sql .*cloudsql\.logical_decoding=on/,
      /--database-flags=max_wal_senders=2/,
    ],
    [
      'alloydbsuperuser',
      'alloydb',
      /gcloud alloydb .*alloydb\.logical_decoding=on/,
      /--database-flags=max_wal_senders=2/,
    ],
    [
      'azure_pg_admin',
      'azure',
      /az postgres .*--name wal_level --value logical && .*restart/,
      /--name max_wal_senders --value 2 && /,
    ],
  ] as const)('one with the role %s as %s wants it', async (role, provider, logical, senders) => {
    await rowsOf(client, `CREATE ROLE ${role}`);
    try {
      const found = new Map((await lacks()) as [string, string][]);
      expect(found.get('wal_level')).toMatch(logical);
      expect(found.get('wal_level')).toBe(logicalStatement(provider));
      expect(found.get('max_wal_senders')).toMatch(senders);
      const idle = { name: 'idle_replication_slot_timeout', value: '0', needsRestart: false };
      expect(found.get('idle_replication_slot_timeout')).toBe(settingStatement(provider, idle));
    } finally {
      await rowsOf(client, `DROP ROLE ${role}`);
    }
  });
});

test('a slot that is about to be given up is told before it is', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-check-'));
  fs.chmodSync(dir, 0o755);
  // Far from a checkpoint of its own accord, which would give the slot up at once.
  const settings = {
    wal_level: 'logical',
    max_wal_size: '10GB',
    checkpoint_timeout: '1h',
  };
  const server = await startEmbeddedPostgres({ dir: path.join(dir, 'pg'), isThrowaway: true, settings });
  const client = await connect(server.url('postgres'), 'query', new AbortController().signal);
  try {
    const limitIs = async (isIt: (limit: string) => boolean) => {
      while (!isIt((await rowsOf(client, 'SHOW max_slot_wal_keep_size'))[0]?.max_slot_wal_keep_size ?? ''));
    };
    await rowsOf(client, "ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'");
    await rowsOf(client, 'SELECT pg_reload_conf()');
    await limitIs((limit) => limit === '64MB');
    await rowsOf(client, `SELECT pg_create_logical_replication_slot('${names.slot}', 'pgoutput')`);
    expect(await checkServer(client, names)).toEqual([]);
    const statusOf = async () => (await rowsOf(client, 'SELECT wal_status FROM pg_replication_slots'))[0]?.wal_status;
    for (let segments = 0; segments < 20 && (await statusOf()) === 'reserved'; segments++) {
      await rowsOf(client, `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))`);
      await rowsOf(client, 'SELECT pg_switch_wal()');
    }
    const [lack] = await checkServer(client, names);
    expect(lack).toMatchObject({
      problem: expect.stringMatching(
        /^The server keeps \d+ MB of its log \(WAL\) for the slot dailies_studio and gives it up /,
      ),
      statement: expect.stringMatching(/^ALTER SYSTEM SET max_slot_wal_keep_size = \d+; SELECT pg_reload_conf\(\);$/),
      isBlocking: false,
    });
    for (const statement of lack?.statement.split('; ') ?? []) await rowsOf(client, statement);
    await limitIs((limit) => limit !== '64MB');
    await rowsOf(client, 'CHECKPOINT');
    expect(await statusOf()).toBe('reserved');
    expect(await checkServer(client, names)).toEqual([]);
  } finally {
    await client.end();
    await server.close();
    fs.rmSync(dir, { recursive: true, force: true });
  }
});
