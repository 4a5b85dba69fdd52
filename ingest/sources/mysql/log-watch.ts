import type { Reached, SourceWarning } from '../../source.ts';
import { durationText, readRetention } from './check.ts';
import { type Connection, rowsOf, type ServerVersion } from './connection.ts';
import { flavorOf, logDistance, parsePosition } from './position.ts';
import { providerOf, retentionStatement, settingStatement } from './provider.ts';
import { readLogBytes, serverHead } from './server-head.ts';

/**
 * Log that the server is about to purge before we have it: told once half of its retention has passed since we had all of it,
 * and where the server's logs have a greatest size (MariaDB's max_binlog_total_size) once half of that lies behind us.
 */
export async function logThreats(
  connection: Connection,
  version: ServerVersion,
  { position, at }: Reached,
  now: Date,
): Promise<SourceWarning[]> {
  if (position === null || at === null) return [];
  const { flavor } = version;
  const provider = await providerOf(connection);
  const behindSeconds = (now.getTime() - at.getTime()) / 1000;
  const seconds = await readRetention(connection, provider);
  if (seconds !== null && behindSeconds >= seconds / 2) {
    const left = Math.max(0, seconds - behindSeconds);
    return [
      {
        code: 'log_expiring',
        message: `Dailies last had all of the server's binary log ${durationText(behindSeconds)} ago, and the server purges it after ${durationText(seconds)}: ${durationText(left)} are left, then all tables have to be read again. See the source's state; to make room: ${retentionStatement(provider, flavor, Math.max(7 * 86_400, seconds * 2))}`,
      },
    ];
  }
  const [limit] = await rowsOf(connection, "SHOW GLOBAL VARIABLES LIKE 'max_binlog_total_size'");
  const limitBytes = Number(limit?.value ?? 0);
  if (limitBytes === 0 || flavorOf(position) !== flavor) return [];
  const head = (await serverHead(connection, version)).position;
  const kept = logDistance(parsePosition(flavor, position), head, await readLogBytes(connection));
  if (kept < limitBytes / 2) return [];
  const setting = { name: 'max_binlog_total_size', value: String(kept * 2), needsRestart: false };
  return [
    {
      code: 'log_expiring',
      message: `Dailies has ${megabytes(kept)} of the server's binary log still to read, and the server purges it beyond ${megabytes(limitBytes)} (max_binlog_total_size): then all tables have to be read again. See the source's state; to make room: ${settingStatement(provider, flavor, setting)}`,
    },
  ];
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20).toLocaleString('en-US')} MB`;
}
