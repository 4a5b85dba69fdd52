import fs from 'node:fs/promises';
import path from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { DailiesError } from '#catalog/error.ts';
import { readReferences } from '#catalog/services/definition/environment-references.ts';
import type { ReplayRecord } from '#catalog/services/pipeline/replay-record.ts';
import { replayText } from '#catalog/services/pipeline/replay-text.ts';
import { snapshotText } from '#catalog/services/source/snapshot-text.ts';
import type { TableSnapshot } from '#catalog/services/source/table-snapshot.ts';
import type { Client } from './client.ts';
import { printTable } from './print.ts';

/** Output for people or programs; everything else goes to stderr. */
export type Print = (line: string) => void;

const segment = encodeURIComponent;

export interface ApplyFlags {
  prune?: boolean;
  dryRun?: boolean;
}

/** Reads the files, fills `${NAME}` from `env` into secrets, and applies them as one. */
export async function applyFiles(
  client: Client,
  files: readonly string[],
  flags: ApplyFlags,
  env: Readonly<Record<string, string | undefined>>,
  print: Print,
): Promise<void> {
  const read = await Promise.all(files.map(readDefinition));
  const query = new URLSearchParams();
  if (flags.dryRun) query.set('dryRun', 'true');
  if (flags.prune) query.set('prune', 'true');
  const body = readReferences(read, env);
  const done = await client.json<{ lines: string[]; isApplied: boolean }>('PUT', `/api/v1/definition?${query}`, body);
  for (const line of done.lines) print(line);
  if (done.lines.length === 0) print('nothing changes');
  else if (flags.dryRun) print('nothing was applied (--dry-run)');
}

async function readDefinition(file: string): Promise<{ name: string; text: string }> {
  try {
    return { name: path.relative(process.cwd(), path.resolve(file)), text: await fs.readFile(file, 'utf8') };
  } catch (cause) {
    const reason =
      (cause as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'is not there'
        : `cannot be read (${(cause as Error).message})`;
    throw new DailiesError('definition_invalid', `${file} ${reason}.`, { cause, details: { file } });
  }
}

export async function exportDefinition(client: Client, print: Print): Promise<void> {
  print((await readText(await client.stream('/api/v1/definition', 'application/yaml'))).trimEnd());
}

interface Part {
  state: string;
  rows: number;
  /** null while it is not known. */
  lag: { seconds: number | null; bytes: number | null };
  lastError: string | { message: string } | null;
}

interface StatusDocument {
  url: string;
  sources: Record<
    string,
    Part & {
      tables?: Record<string, { snapshot?: TableSnapshot }>;
      warnings?: { code: string; message: string; since: string }[];
    }
  >;
  pipelines: Record<string, Part & { replay?: ReplayRecord }>;
  sinks: Record<string, Part>;
  catalog?: { uri: string; commitsTogether: boolean };
}

/** Replays that were asked for, under way or ended. */
function printReplays(pipelines: StatusDocument['pipelines'], print: Print): void {
  for (const [name, { replay }] of Object.entries(pipelines)) {
    if (!replay) continue;
    print('');
    print(`pipeline ${name}: ${replayText(replay)}`);
  }
}

export async function status(client: Client, flags: { json?: boolean }, print: Print): Promise<void> {
  const document = await client.json<StatusDocument>('GET', '/api/v1/status');
  if (flags.json) {
    print(JSON.stringify(document, null, 2));
    return;
  }
  print(document.url);
  if (document.catalog !== undefined) {
    const way = document.catalog.commitsTogether ? '' : ', which commits each table alone';
    print(`tables are in the catalog at ${document.catalog.uri}${way}`);
  }
  for (const kind of ['sources', 'pipelines', 'sinks'] as const) {
    const rows = Object.entries(document[kind]).map(([name, part]) => [
      name,
      part.state,
      part.rows,
      lagText(part.lag),
      typeof part.lastError === 'object' ? (part.lastError?.message ?? '') : part.lastError,
    ]);
    print('');
    print(
      rows.length === 0 ? `no ${kind}` : printTable([kind.slice(0, -1), 'state', 'rows', 'lag', 'last error'], rows),
    );
    if (kind === 'sources') {
      printWarnings(document.sources, print);
      printSnapshots(document.sources, print);
    }
    if (kind === 'pipelines') printReplays(document.pipelines, print);
  }
}

/** What threatens a source: sentences, too long for a table. */
function printWarnings(sources: StatusDocument['sources'], print: Print): void {
  for (const [source, { warnings = [] }] of Object.entries(sources)) {
    for (const { message, since } of warnings) {
      print('');
      print(`warning: source ${source}, since ${since}: ${message}`);
    }
  }
}

/** Tables whose snapshots are under way. */
function printSnapshots(sources: StatusDocument['sources'], print: Print): void {
  const rows = Object.entries(sources).flatMap(([source, { tables = {} }]) =>
    Object.entries(tables).flatMap(([table, { snapshot }]) =>
      snapshot === undefined ? [] : [[`${source}.${table}`, snapshotText(snapshot), snapshot.startedAt]],
    ),
  );
  if (rows.length === 0) return;
  print('');
  print(printTable(['snapshot', 'how far', 'since'], rows));
}

/** Asks for new snapshots of a source's tables, or of one of them. */
export async function snapshot(client: Client, source: string, table: string | undefined, print: Print): Promise<void> {
  const address = `/api/v1/sources/${segment(source)}/snapshots`;
  const { tables } = await client.json<{ tables: string[] }>('POST', address, table === undefined ? {} : { table });
  for (const name of tables) print(`${source}.${name}: a new snapshot is asked for`);
  if (tables.length === 0) print(`${source} follows no table yet`);
}

function lagText({ seconds, bytes }: Part['lag']): string {
  if (seconds === null && bytes === null) return 'not known';
  return `${seconds === null ? '?' : seconds.toFixed(1)} s, ${bytes ?? '?'} B`;
}

export async function setPipeline(client: Client, name: string, verb: 'pause' | 'resume', print: Print): Promise<void> {
  await client.json('POST', `/api/v1/pipelines/${segment(name)}/${verb}`);
  print(`pipeline ${name}: ${verb === 'pause' ? 'paused' : 'resumed'}`);
}

export interface QueryFlags {
  format: 'table' | 'csv' | 'json' | 'parquet';
  asOf?: string;
  as?: string;
}

interface QueryDocument {
  state: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  columns: { name: string; type: string }[];
  rowCount: number | string;
  error?: { code: string; message: string; line?: number; column?: number };
}

const pageRows = 1_000;

/** Runs one SELECT and writes its result to stdout. Ctrl-C cancels it in the product too. */
export async function query(
  own: Client,
  sql: string,
  flags: QueryFlags,
  print: Print,
  signal: AbortSignal,
): Promise<void> {
  const client = flags.as === undefined ? own : own.as(flags.as);
  const body = { sql, ...(flags.asOf === undefined ? {} : { asOf: flags.asOf }) };
  const { id } = await client.json<{ id: string }>('POST', '/api/v1/queries', body);
  const address = `/api/v1/queries/${segment(id)}`;
  const cancel = () =>
    void client.json('DELETE', address).catch((error: Error) => process.stderr.write(`${error.message}\n`));
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  const document = await untilEnded(client, address);
  signal.removeEventListener('abort', cancel);
  if (document.state !== 'succeeded') {
    throw new DailiesError('sql_invalid', problemText(document));
  }
  if (flags.format === 'csv' || flags.format === 'parquet') {
    await pipeline(await client.stream(`${address}/result.${flags.format}`, '*/*'), process.stdout, {
      end: false,
      signal,
    });
    return;
  }
  const rows: unknown[][] = [];
  for (let offset = 0; offset < Number(document.rowCount); offset += pageRows) {
    signal.throwIfAborted();
    const page = await client.json<{ rows: unknown[][] }>('GET', `${address}/rows?offset=${offset}&limit=${pageRows}`);
    rows.push(...page.rows);
  }
  const names = document.columns.map((column) => column.name);
  if (flags.format === 'table') print(printTable(names, rows));
  else
    print(
      JSON.stringify(
        rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index]]))),
        null,
        2,
      ),
    );
}

function problemText({ state, error }: QueryDocument): string {
  if (error === undefined) return `The query was ${state}.`;
  const { message, line, column } = error;
  return line === undefined ? message : `line ${line}${column === undefined ? '' : `, column ${column}`}: ${message}`;
}

async function untilEnded(client: Client, address: string): Promise<QueryDocument> {
  for (let waitMs = 10; ; waitMs = Math.min(waitMs * 1.5, 500)) {
    const document = await client.json<QueryDocument>('GET', address);
    if (document.state !== 'queued' && document.state !== 'running') return document;
    await pause(waitMs);
  }
}

interface RunDocument {
  state: 'queued' | 'running' | 'succeeded' | 'partial' | 'failed';
  attempts: { number: number; error: { message: string } | null }[];
  rows: number | null;
  destinations: { kind: string; delivered: number; written: number; errors: { key: unknown; message: string }[] }[];
  error?: { message: string } | string | null;
}

/** Runs a report and waits for its end. Throws after printing if anything of it failed. */
export async function runReport(client: Client, name: string, flags: { json?: boolean }, print: Print): Promise<void> {
  const runs = `/api/v1/reports/${segment(name)}/runs`;
  const { id } = await client.json<{ id: string }>('POST', runs);
  let run: RunDocument;
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 1.5, 1_000)) {
    run = await client.json<RunDocument>('GET', `${runs}/${segment(id)}`);
    if (run.state !== 'queued' && run.state !== 'running') break;
    await pause(waitMs);
  }
  const { state, rows, destinations } = run;
  const attempts = run.attempts.length;
  if (flags.json) print(JSON.stringify({ state, attempts, rows, destinations }, null, 2));
  else {
    print(`report ${name}: ${state}, ${rows ?? 0} rows, ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`);
    for (const { kind, delivered, written, errors } of destinations) {
      print(
        `  ${kind}: ${delivered} delivered, ${written} write requests${errors.length === 0 ? '' : `, ${errors.length} errors`}`,
      );
      for (const error of errors.slice(0, 10))
        print(`    ${typeof error.key === 'string' ? error.key : JSON.stringify(error.key)}: ${error.message}`);
    }
  }
  if (state !== 'succeeded') {
    const reason = typeof run.error === 'string' ? run.error : run.error?.message;
    throw new DailiesError('internal', reason ?? `The report ${name} ended ${state}: see what each destination says.`);
  }
}

/** What a database lacks; throws if anything. */
export async function check(client: Client, url: string, print: Print): Promise<void> {
  const { problems, offers } = await client.json<{
    problems: { problem: string; statement: string }[];
    offers: { benefit: string; statement: string | null }[];
  }>('POST', '/api/v1/sources/check', { url });
  for (const { problem, statement } of problems) print(`${problem}\n  ${statement}`);
  for (const { benefit, statement } of offers) {
    if (statement === null) print(benefit);
    else print(`optional: ${benefit}\n${statement}`);
  }
  if (problems.length === 0) print('ready: its changes can be read');
  else
    throw new DailiesError(
      'source_not_ready',
      `${problems.length === 1 ? 'One thing is' : `${problems.length} things are`} missing: run the statements above, then check again.`,
    );
}

export async function setSecret(client: Client, name: string, value: string, print: Print): Promise<void> {
  await client.json('PUT', `/api/v1/secrets/${segment(name)}`, { value });
  print(`secret ${name} is kept: refer to it as \${secret:${name}}`);
}

export async function listSecrets(client: Client, print: Print): Promise<void> {
  const { secrets } = await client.json<{ secrets: { name: string; updatedAt: string }[] }>('GET', '/api/v1/secrets');
  print(
    secrets.length === 0
      ? 'no secrets'
      : printTable(
          ['secret', 'changed'],
          secrets.map((row) => [row.name, row.updatedAt]),
        ),
  );
}

export async function removeSecret(client: Client, name: string, print: Print): Promise<void> {
  await client.json('DELETE', `/api/v1/secrets/${segment(name)}`);
  print(`secret ${name} is removed`);
}

export async function createToken(
  client: Client,
  flags: { name: string; role?: string; json?: boolean },
  print: Print,
): Promise<void> {
  const body = { name: flags.name, ...(flags.role === undefined ? {} : { role: flags.role }) };
  const token = await client.json<{ id: string; name: string; token: string }>('POST', '/api/v1/tokens', body);
  print(flags.json ? JSON.stringify({ id: token.id, name: token.name, token: token.token }, null, 2) : token.token);
}

export async function listTokens(client: Client, print: Print): Promise<void> {
  const { tokens } = await client.json<{
    tokens: { id: string; name: string; role: string; lastUsedAt: string | null }[];
  }>('GET', '/api/v1/tokens');
  const rows = tokens.map((token) => [token.name, token.role, token.lastUsedAt ?? 'never', token.id]);
  print(rows.length === 0 ? 'no tokens' : printTable(['token', 'role', 'last used', 'id'], rows));
}

export async function revokeToken(client: Client, name: string, print: Print): Promise<void> {
  await client.json('DELETE', `/api/v1/tokens/${segment(name)}`);
  print(`token ${name} is revoked`);
}
