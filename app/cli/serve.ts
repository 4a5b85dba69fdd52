import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { type Environment, readEnvironment } from '#catalog/environment.ts';
import { DailiesError } from '#catalog/error.ts';
import { root } from './build-pages.ts';
import { connect } from './client.ts';
import { applyFiles } from './commands.ts';
import { type ManagedProcess, startProcess } from './managed-process.ts';
import { claimHome, type Running, up } from './up.ts';

export interface ServeOptions {
  only?: 'web' | 'worker';
  /** Runs the sample studio beside the product. */
  demo?: { rate: number; fresh: boolean };
}

const studioReady = z.object({ sheets: z.string(), airtable: z.string(), env: z.record(z.string(), z.string()) });

/** How long SIGTERM waits for a start that it has met half-way. */
const startGraceMs = 15_000;

const report = (line: string) => void process.stderr.write(`${new Date().toISOString()} ${line}\n`);

/** `up` and `demo`: starts, says `ready …`, and ends on SIGTERM or SIGINT with all processes ended. */
export async function serve(options: ServeOptions): Promise<void> {
  const environment = readEnvironment(process.env);
  const unlock = await claimHome(environment, options.only);
  const stops: (() => Promise<void>)[] = [];
  const { promise: asked, resolve: ask } = Promise.withResolvers<null>();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      report(`${signal}: finishing what is in hand, then ending`);
      ask(null);
    });
  }
  try {
    const starting = start(environment, options, stops);
    const running = await Promise.race([starting, asked]);
    if (running !== null) {
      process.stdout.write(`ready ${environment.url}\n`);
      if (running.adminLink)
        process.stdout.write(`Nobody may sign in yet. This link makes you the admin: ${running.adminLink}\n`);
      const reason = await Promise.race([running.failed, asked]);
      if (reason !== null) throw new DailiesError('internal', reason);
    } else {
      // What is still starting cleans up after itself or is in `stops` once it has started; else it ends with this process.
      await Promise.race([starting.catch(() => undefined), pause(startGraceMs)]);
    }
  } finally {
    for (const stop of stops.splice(0).reverse()) await stop();
    unlock();
  }
  process.exit(0);
}

async function start(
  environment: Environment,
  options: ServeOptions,
  stops: (() => Promise<void>)[],
): Promise<Running> {
  if (options.demo === undefined) {
    const running = await up(environment, options, report);
    stops.push(running.stop);
    return running;
  }
  if (options.demo.fresh) forget(environment);
  const studio = startStudio(environment, options.demo);
  stops.push(() => studio.stop(10_000));
  const { sheets, airtable, env } = studioReady.parse(JSON.parse((await studio.ready) ?? '{}'));
  const demoEnv = { DAILIES_DEMO: '1', DAILIES_GOOGLE_URL: sheets, DAILIES_AIRTABLE_URL: airtable };
  const running = await up(environment, { env: demoEnv }, report);
  stops.push(running.stop);
  await applyFiles(await connect(environment), [path.join(root, 'ingest/demo/demo.yaml')], {}, env, report);
  return { ...running, adminLink: undefined };
}

function startStudio(environment: Environment, demo: { rate: number; fresh: boolean }): ManagedProcess {
  const args = ['--home', environment.home, '--rate', String(demo.rate)];
  return startProcess(path.join(root, 'ingest/demo/main.ts'), args, process.env, report);
}

/** Removes what earlier runs kept, our own folders and files only. */
function forget(environment: Environment): void {
  if (environment.databaseUrl !== null) {
    const message =
      '--fresh cannot empty the database of DATABASE_URL: drop and create it yourself, or leave DATABASE_URL out.';
    throw new DailiesError('environment_invalid', message);
  }
  const kept = [
    'cache',
    'compiled',
    'exports',
    'index',
    'log',
    'postgres',
    'results',
    'secret',
    'studio',
    'studio.json',
    'warehouse',
  ];
  for (const name of kept) {
    const target = path.join(environment.home, name);
    if (fs.lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink())
      fs.rmSync(fs.realpathSync(target), { recursive: true });
    fs.rmSync(target, { recursive: true, force: true });
  }
}
