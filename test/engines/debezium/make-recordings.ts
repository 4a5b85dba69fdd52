// Makes the recorded topics of test/fixtures/debezium anew, with real servers and Debezium's own engine:
//   node test/engines/debezium/make-recordings.ts
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Recording, recordMariadb, recordPostgres } from '../../fixtures/debezium.ts';
import { findEngine } from '../../fixtures/engine.ts';
import { startMariadb } from '../../fixtures/mariadb.ts';
import { startMajor } from '../../fixtures/postgres-majors.ts';
import { mariadbChanges, mariadbTables, postgresChanges, postgresTables } from './recorded-work.ts';

const target = path.resolve(import.meta.dirname, '../../fixtures/debezium');
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-recordings-'));

/** Runs until the last topic has its last record, and keeps what the decoder needs of the files. */
async function finish(name: string, recording: Recording): Promise<void> {
  const folder = path.join(scratch, name);
  await recording.until(
    () => fs.readdirSync(folder).some((file) => /\.last-\d+\.ndjson$/.test(file)) && hasLast(folder),
  );
  await recording.stop();
  fs.rmSync(path.join(target, name), { recursive: true, force: true });
  fs.cpSync(folder, path.join(target, name), { recursive: true });
  console.log(`${name}: ${fs.readdirSync(folder).join(', ')}`);
}

function hasLast(folder: string): boolean {
  const file = fs.readdirSync(folder).find((entry) => /\.last-\d+\.ndjson$/.test(entry));
  return file !== undefined && fs.readFileSync(path.join(folder, file), 'utf8').split('\n').length > 2;
}

const variants = {
  'postgres-json-schemas': { format: 'json-schemas', properties: {} },
  'postgres-json': { format: 'json', properties: {} },
  'postgres-avro': { format: 'avro', properties: { 'field.name.adjustment.mode': 'avro' } },
  'postgres-connect': {
    format: 'json-schemas',
    properties: {
      'time.precision.mode': 'connect',
      'decimal.handling.mode': 'double',
      'binary.handling.mode': 'base64',
      'interval.handling.mode': 'string',
    },
  },
  'postgres-text': {
    format: 'json-schemas',
    properties: {
      'time.precision.mode': 'isostring',
      'decimal.handling.mode': 'string',
      'binary.handling.mode': 'hex',
      'hstore.handling.mode': 'map',
    },
  },
} as const;

const majors = findEngine('postgres-majors');
if (majors === null || findEngine('debezium') === null)
  throw new Error('Run test/engines/install postgres-majors debezium mariadb.');
{
  await using server = await startMajor(majors, 18);
  for (const [name, { format, properties }] of Object.entries(variants)) {
    const database = await server.createDatabase();
    await database.query(postgresTables);
    const slot = name.replaceAll('-', '_');
    await using recording = await recordPostgres(database.url, slot, {
      folder: path.join(scratch, name),
      format,
      properties: {
        'skipped.operations': 'none',
        'provide.transaction.metadata': 'true',
        'heartbeat.interval.ms': '500',
        ...properties,
      },
    });
    await recording.until(() => fs.readdirSync(path.join(scratch, name)).some((file) => file.includes('.last-')));
    for (const statement of postgresChanges) await database.query(statement);
    await finish(name, recording);
  }
}
{
  await using server = await startMariadb('11.4');
  for (const [name, format] of [
    ['mariadb-json-schemas', 'json-schemas'],
    ['mariadb-avro', 'avro'],
  ] as const) {
    await server.query('DROP DATABASE IF EXISTS studio');
    await server.query('CREATE DATABASE studio');
    for (const statement of mariadbTables) await server.query(statement);
    await using recording = await recordMariadb(server.url(), 4711, {
      folder: path.join(scratch, name),
      format,
      properties: {
        'database.include.list': 'studio',
        'bigint.unsigned.handling.mode': 'precise',
        'schema.name.adjustment.mode': 'avro',
        'include.schema.changes': 'true',
      },
    });
    await recording.until(() => fs.readdirSync(path.join(scratch, name)).some((file) => file.includes('.last-')));
    for (const statement of mariadbChanges) await server.query(statement);
    await finish(name, recording);
  }
}
fs.rmSync(scratch, { recursive: true, force: true });
