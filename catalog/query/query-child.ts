/**
 * The process in which one person's statement runs: started by `ChildPool` with limits of the operating system and an
 * empty environment; nothing in it can speak to the network. `child-protocol.ts` shows the talk.
 */
import fs from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import path from 'node:path';
import { type DuckDBConnection, DuckDBInstance, StatementType } from '@duckdb/node-api';
import { identifier, literal } from '../iceberg/files/duckdb-values.ts';
import { watchParent } from '../state/watch-parent.ts';
import { bindAll } from './bind-parameters.ts';
import { type CheckedStatement, checkStatement } from './check-statement.ts';
import type { Analysis, FromChild, RunRequest, ToChild } from './child-protocol.ts';
import { markParameters } from './parameter-marks.ts';
import { placeCount, placeReads, type ViewName } from './place-reads.ts';
import { describeDuckdbError, StatementError } from './query-problem.ts';
import { SpoolWriter } from './spool-writer.ts';
import { watchMemory } from './watch-memory.ts';

watchParent();

const { memoryBytes, processBytes, threads } = JSON.parse(process.argv[2] ?? '') as ChildSettings;
if (process.platform !== 'linux') watchMemory(processBytes);

const instance = await DuckDBInstance.create(':memory:', {
  threads: String(threads),
  memory_limit: `${Math.floor(memoryBytes / 1024)}KiB`,
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  allow_persistent_secrets: 'false',
  errors_as_json: 'true',
});
const connection = await instance.connect();
// UTC, so that a query gives the same on every machine.
await connection.run("SET TimeZone = 'UTC'");
// A view's files are opened when it is made, when the statement is bound and when it runs: read their footers once.
await connection.run('SET parquet_metadata_cache = true');
await serialize(connection, 'SELECT 1');

process.on('message', (message: ToChild) => {
  void answer(message);
});
send({ kind: 'ready' });
// Children end by SIGKILL: they would never leave the next ones their compiled code.
flushCompileCache();

export interface ChildSettings {
  memoryBytes: number;
  processBytes: number;
  threads: number;
}

async function answer(message: ToChild): Promise<void> {
  const hidden = message.kind === 'run' ? [...message.files, message.resultDir] : [];
  try {
    if (message.kind === 'analyse') {
      const { tables, parameters } = await analyse(message.sql);
      send({ kind: 'analysed', analysis: { tables, parameters } });
    } else await run(message);
  } catch (thrown) {
    send({ kind: 'failed', error: describeDuckdbError(thrown, message.sql, hidden) });
  }
}

interface Checked extends Analysis, CheckedStatement {
  /** With parameters as DuckDB writes them. */
  marked: string;
}

async function analyse(sql: string): Promise<Checked> {
  const marked = markParameters(sql);
  const checked = checkStatement(marked.sql, await serialize(connection, marked.sql), Date.now());
  return { ...checked, parameters: marked.names, marked: marked.sql };
}

/** Parses only: the text is a value here, nothing of it runs. */
async function serialize(parser: DuckDBConnection, sql: string): Promise<string> {
  const result = await parser.runAndReadAll(
    'SELECT json_serialize_sql($1::VARCHAR, skip_default := true, skip_null := true, skip_empty := true)',
    [sql],
  );
  return String(result.getRows()[0]?.[0]);
}

async function run(request: RunRequest): Promise<void> {
  // Checked again here, so that nothing runs that this very process has not checked.
  const { tables, specialReads, marked, count } = await analyse(request.sql);
  if (tables.length !== request.tables.length) throw new Error('A table of the statement has no view.');
  const placed = request.count === null ? placeReads(marked, tables, specialReads) : placeCount(request.count, count);
  await lock(request, placed.views);
  const statement = await connection.prepare(placed.sql);
  if (statement.statementType !== StatementType.SELECT) {
    throw new StatementError('sql_refused', 'Only a SELECT can run here.');
  }
  bindAll(statement, request.parameters);
  const result = await statement.stream();
  const writer = await SpoolWriter.open(result, request.resultDir, request.resultBytes, (rows) =>
    send({ kind: 'part', rows }),
  );
  send({ kind: 'columns', columns: writer.columns });
  await writer.writeAll(result);
  send({ kind: 'done' });
}

/** Defines the tables, then gives up every other right of this DuckDB for good. */
async function lock(request: RunRequest, views: readonly ViewName[]): Promise<void> {
  const temp = path.join(request.resultDir, 'temp');
  await fs.mkdir(temp, { recursive: true });
  process.chdir(temp);
  await connection.run(`SET temp_directory = ${literal(temp)}`);
  await connection.run(`SET max_temp_directory_size = '${Math.floor(request.tempBytes / 1024)}KiB'`);
  await connection.run(`SET home_directory = ${literal(temp)}`);
  await connection.run(`SET allowed_paths = [${request.files.map(literal).join(', ')}]`);
  await connection.run('SET enable_external_access = false');
  for (const [index, view] of views.entries()) {
    if (view.database !== null) {
      await connection.run(`ATTACH IF NOT EXISTS ':memory:' AS ${identifier(view.database)}`);
    }
    const schema = [view.database, view.schema].flatMap((name) => (name === null ? [] : identifier(name))).join('.');
    await connection.run(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await connection.run(`CREATE VIEW ${schema}.${identifier(view.name)} AS ${request.tables[index]}`);
  }
  await connection.run('SET lock_configuration = true');
}

function send(message: FromChild): void {
  process.send?.(message);
}
