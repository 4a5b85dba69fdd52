import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Environment } from '#catalog/environment.ts';
import { DailiesError } from '#catalog/error.ts';
import { checkCatalog } from '#catalog/iceberg/rest-client/check-catalog.ts';
import { checkWarehouse } from '#catalog/iceberg/storage/check-warehouse.ts';
import { firstAdminLink } from '#catalog/services/person/invite.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { migrateState, openState } from '#catalog/state/state.ts';
import { listenOnPort } from '../server/listen.ts';
import { buildPages, root } from './build-pages.ts';
import { lockHome } from './home-lock.ts';
import { type ManagedProcess, startProcess } from './managed-process.ts';

/** How long SIGTERM may take in all: what still runs then is killed. */
const graceMs = 25_000;

export interface UpOptions {
  /** Runs this part alone; both, with the embedded state database, if left out. */
  only?: 'web' | 'worker';
  /** Added to the processes' environment. */
  env?: Readonly<Record<string, string>>;
}

export interface Running {
  /** The one-time address that makes the first admin, while there is nobody yet. */
  adminLink: string | undefined;
  stop(): Promise<void>;
  /** Resolves with a sentence if a part that cannot be started again has ended. */
  failed: Promise<string>;
}

/**
 * Starts everything on this machine and resolves when it serves. Throws, with nothing left running, if a part cannot
 * start. The caller holds the home's lock.
 */
export async function up(
  environment: Environment,
  options: UpOptions,
  report: (line: string) => void,
): Promise<Running> {
  if (options.only !== undefined && environment.databaseUrl === null) {
    const message = `--only ${options.only} needs DATABASE_URL: the parts meet in one Postgres.`;
    throw new DailiesError('environment_invalid', message);
  }
  if (options.only !== 'worker') await refuseTakenPort(environment);
  await checkWarehouse(environment);
  if (environment.catalog !== null) await checkCatalog(environment.catalog);
  const building = options.only === 'worker' ? undefined : buildMissingPages(report);
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const step of stops.splice(0).reverse()) await step();
  };
  try {
    let postgres: EmbeddedPostgres | undefined;
    if (environment.databaseUrl === null) {
      postgres = await startEmbeddedPostgres({ dir: path.join(environment.home, 'postgres') });
      stops.push(postgres.close);
      await postgres.ensureDatabase('dailies');
    }
    const stateUrl = environment.databaseUrl ?? postgres?.url('dailies') ?? '';
    await migrate(stateUrl);
    await building;
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      ...options.env,
      DAILIES_STATE_URL: stateUrl,
      DAILIES_HOME: environment.home,
    };
    const parts = (['web', 'worker'] as const).filter((part) => options.only === undefined || options.only === part);
    const processes: ManagedProcess[] = parts.map((part) =>
      startProcess(path.join(root, `app/cli/${part}.ts`), [], env, report),
    );
    stops.push(async () => {
      await Promise.all(processes.map((own) => own.stop(graceMs)));
    });
    await Promise.all(processes.map((own) => own.ready));
    const hasOwnPeople = options.only !== 'worker' && env.DAILIES_DEMO !== '1';
    const adminLink = hasOwnPeople ? await makeAdminLink(stateUrl, environment.url) : undefined;
    return { adminLink, stop, failed: postgres?.ended ?? new Promise<string>(() => undefined) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Claims the home (made with mode 0700 at first need) for a whole product, or for one part of it. */
export async function claimHome(environment: Environment, only?: 'web' | 'worker'): Promise<() => void> {
  try {
    fs.mkdirSync(environment.home, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const message = `DAILIES_HOME ${environment.home} cannot be made: ${(cause as Error).message}.`;
    throw new DailiesError('environment_invalid', message, { cause });
  }
  return lockHome(environment.home, only ?? 'up');
}

/** Made once, here: a web process that is started again must not make the printed link useless. */
async function makeAdminLink(stateUrl: string, url: string): Promise<string | undefined> {
  const state = openState(stateUrl, 1);
  try {
    return (await firstAdminLink(state, url, new Date())) ?? undefined;
  } finally {
    await state.$disconnect();
  }
}

async function migrate(url: string): Promise<void> {
  try {
    await migrateState(url);
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0]?.replace(/\.$/, '');
    const message = `The state database cannot be brought to this version: ${reason}. Check DATABASE_URL and that its user may create tables.`;
    throw new DailiesError('environment_invalid', message, { cause });
  }
}

/** The parts of a product that was killed end within 2 s of it (`watchParent`) and hold the port until then. */
async function refuseTakenPort({ host, port }: Environment): Promise<void> {
  const patience = Date.now() + 3_000;
  for (;;) {
    const probe = net.createServer();
    try {
      await listenOnPort(probe, host, port);
      await new Promise((resolve) => probe.close(resolve));
      return;
    } catch (error) {
      if (!(error instanceof DailiesError && error.code === 'port_in_use') || Date.now() > patience) throw error;
      await delay(50);
    }
  }
}

/** The pages come built by `prepare`; where that was skipped, it is done now. */
async function buildMissingPages(report: (line: string) => void): Promise<void> {
  if (fs.existsSync(path.join(root, '.next/BUILD_ID'))) return;
  report('building the pages, once (about a minute)');
  await buildPages();
}
