#!/usr/bin/env node
import { text as readText } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readEnvironment } from '#catalog/environment.ts';
import { toDailiesError } from '#catalog/error.ts';
import { asOfInput } from '#catalog/query/as-of.ts';
import { isoInstant } from '#catalog/query/iso-instant.ts';
import { type Client, connect } from './client.ts';
import * as commands from './commands.ts';
import { maintain } from './maintain.ts';
import { type ReplayFlags, replay } from './replay.ts';
import { serve } from './serve.ts';

const print = (line: string) => void process.stdout.write(`${line}\n`);

const program = new Command('dailies')
  .description('Operational reporting for a film and series studio.')
  .showHelpAfterError()
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : 2);
  });

/** Runs a command on the running product. */
function onProduct<A extends unknown[]>(run: (client: Client, ...args: A) => Promise<void>) {
  return async (...args: A) => run(await connect(readEnvironment(process.env)), ...args);
}

program
  .command('up')
  .description('Runs everything on one machine.')
  .addOption(new Option('--only <part>', 'one part alone; needs DATABASE_URL').choices(['web', 'worker']))
  .action((flags: { only?: 'web' | 'worker' }) => serve({ ...flags }));

program
  .command('demo')
  .description('Runs everything with the sample studio.')
  .option('--rate <changes>', 'changes per second that people at work make', readRate, 5)
  .option('--fresh', 'starts over: forgets everything kept under DAILIES_HOME')
  .action((flags: { rate: number; fresh?: boolean }) =>
    serve({ demo: { rate: flags.rate, fresh: flags.fresh ?? false } }),
  );

program
  .command('apply <files...>')
  .description('Merges definition files by name into what runs, after showing the difference.')
  .option('--prune', 'also removes what the files do not name')
  .option('--dry-run', 'only shows the difference')
  .action((files: string[], flags: commands.ApplyFlags) =>
    onProduct((client) => commands.applyFiles(client, files, flags, process.env, print))(),
  );

program
  .command('export')
  .description('Prints the definition of what runs, secrets as references.')
  .action(() => onProduct((client) => commands.exportDefinition(client, print))());

program
  .command('status')
  .description('How everything is.')
  .option('--json', 'one JSON document')
  .action((flags: { json?: boolean }) => onProduct((client) => commands.status(client, flags, print))());

for (const verb of ['pause', 'resume'] as const) {
  program
    .command(`${verb} <pipeline>`)
    .description(verb === 'pause' ? 'Pauses a pipeline; its backlog is kept.' : 'Lets a pipeline go on where it stood.')
    .action((name: string) => onProduct((client) => commands.setPipeline(client, name, verb, print))());
}

program
  .command('replay <pipeline>')
  .summary('Runs changes that the log still holds through the steps of a pipeline again.')
  .description(
    [
      'Runs the changes that the log still holds for a pipeline through its steps again, up to where it stands.',
      'For rows that a step got wrong or could not carry on: a filter or an enrichment that failed, a graph that answered otherwise then. A table keeps what it has until all of it is applied, in one commit, with each row as its newest change left it; nothing is doubled.',
      "Rows without a change in that time stay as they are, unless the log holds the table's whole snapshot. Tables of changes (mode: changes) and, with --from or --key, tables without a key are left out.",
    ].join('\n\n'),
  )
  .option('--from <time>', 'changes since this instant (ISO 8601 with zone) in place of all', readInstant)
  .option('--key <key>', 'changes of this key alone: 7, or for several columns a JSON array, \'["US", 7]\'')
  .action((name: string, flags: ReplayFlags) => onProduct((client) => replay(client, name, flags, print))());

program
  .command('snapshot <source> [table]')
  .description('Reads a table of a source again, or all of them; what has landed stays until the new rows come.')
  .action((source: string, table?: string) => onProduct((client) => commands.snapshot(client, source, table, print))());

program
  .command('query <sql>')
  .description('Runs one SELECT, under the same limits and policy as in the browser.')
  .addOption(
    new Option('--format <format>', 'how rows are written')
      .choices(['table', 'csv', 'json', 'parquet'])
      .default('table'),
  )
  .option(
    '--as-of <state>',
    'the tables as they were: an instant (ISO 8601 with zone), a tag, branch or snapshot id',
    readAsOf,
  )
  .option('--as <email>', 'with the rights of this person; for admins')
  .action((sql: string, flags: commands.QueryFlags) => {
    const stop = new AbortController();
    process.once('SIGINT', () => stop.abort());
    return onProduct((client) => commands.query(client, sql, flags, print, stop.signal))();
  });

program
  .command('maintain <table>')
  .description('Rewrites small files of a table, lets old states go and removes orphans now; waits for the end.')
  .option('--json', 'one JSON document')
  .action((table: string, flags: { json?: boolean }) => onProduct((client) => maintain(client, table, flags, print))());

const report = program.command('report').description('Reports.');
report
  .command('run <name>')
  .description('Runs a report now and waits for its end.')
  .option('--json', 'one JSON document')
  .action((name: string, flags: { json?: boolean }) =>
    onProduct((client) => commands.runReport(client, name, flags, print))(),
  );

program
  .command('check <url>')
  .description('What a database still needs before its changes can be read, each with the statement that mends it.')
  .action((url: string) => onProduct((client) => commands.check(client, url, print))());

const secret = program.command('secret').description('Credentials that a definition names in place of their values.');
secret
  .command('set <name>')
  .description('Keeps the value that stands on standard input.')
  .action(async (name: string) => {
    const value = (await readText(process.stdin)).replace(/\r?\n$/, '');
    await onProduct((client) => commands.setSecret(client, name, value, print))();
  });
secret
  .command('list')
  .description('Names of the secrets; never their values.')
  .action(() => onProduct((client) => commands.listSecrets(client, print))());
secret
  .command('remove <name>')
  .description('Forgets a secret.')
  .action((name: string) => onProduct((client) => commands.removeSecret(client, name, print))());

const token = program.command('token').description('API tokens.');
token
  .command('create')
  .description('Makes a token and shows it, once.')
  .requiredOption('--name <name>', 'what it is for')
  .option('--role <role>', 'what it may do: staff, analyst, owner, admin, or a role of the definition')
  .option('--json', 'one JSON document')
  .action((flags: { name: string; role?: string; json?: boolean }) =>
    onProduct((client) => commands.createToken(client, flags, print))(),
  );
token
  .command('list')
  .description('Names, roles and last use.')
  .action(() => onProduct((client) => commands.listTokens(client, print))());
token
  .command('revoke <name>')
  .description('Makes a token, by name or id, useless at once.')
  .action((name: string) => onProduct((client) => commands.revokeToken(client, name, print))());

function readRate(text: string): number {
  const rate = Number(text);
  if (!(rate >= 0 && rate <= 10_000)) throw new InvalidArgumentError('It is a number from 0 to 10000.');
  return rate;
}

function readInstant(text: string): string {
  const read = isoInstant.safeParse(text);
  if (!read.success) throw new InvalidArgumentError(`It ${read.error.issues[0]?.message ?? 'cannot be read'}.`);
  return read.data;
}

function readAsOf(text: string): string {
  const read = asOfInput.safeParse(text);
  if (!read.success) throw new InvalidArgumentError(`It ${read.error.issues[0]?.message ?? 'cannot be read'}.`);
  return text;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (thrown) {
  const error = toDailiesError(thrown);
  process.stderr.write(`dailies: ${error.message}\n`);
  if (error.code === 'internal' && process.env.DAILIES_DEBUG && error.stack) process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
}
