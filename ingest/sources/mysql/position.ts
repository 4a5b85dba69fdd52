import { DailiesError } from '#catalog/error.ts';
import type { SourcePosition } from '../../event.ts';
import type { Flavor } from './binlog/binlog-item.ts';
import { type GtidSet, parseGtidSet } from './binlog/gtid.ts';

/**
 * A place between two transactions of a server's history. As text:
 *
 *     0-1-42,1-1-7 binlog.000003:4711 X'6162',X'',1@0-1-40,1-1-7
 *
 * the GTID set of all that is before it, where that is in the log of the server that told it (a hint, for distances in
 * bytes), and for each XA transaction that was prepared before it and not ended, the set of all before its PREPARE.
 */
export interface Position {
  gtids: GtidSet;
  log: string;
  logPosition: number;
  prepared: ReadonlyMap<string, string>;
}

export function formatPosition(position: Omit<Position, 'gtids'> & { gtids: GtidSet | string }): SourcePosition {
  const { gtids, log, logPosition, prepared } = position;
  const open = [...prepared].map(([xid, before]) => ` ${xid}@${before}`).join('');
  return `${gtids} ${encodeURIComponent(log)}:${logPosition}${open}`;
}

/** Throws `source_slot_lost` for a position of the other family of servers, whose history this one cannot know. */
export function parsePosition(flavor: Flavor, text: SourcePosition): Position {
  const [gtids = '', place = '', ...open] = text.split(' ');
  const [, log, logPosition] = /^([^:]+):(\d+)$/.exec(place) ?? [];
  if (log === undefined || logPosition === undefined || !isOf(flavor, gtids)) {
    throw new DailiesError(
      'source_slot_lost',
      `The last position known of this source is of another kind of server than ${flavor === 'mysql' ? 'MySQL' : 'MariaDB'}, so what happened since is not known; resume to read the tables anew.`,
    );
  }
  const prepared = new Map(
    open.map((part): [string, string] => {
      const at = part.lastIndexOf('@');
      return [part.slice(0, at), part.slice(at + 1)];
    }),
  );
  return {
    gtids: parseGtidSet(flavor, gtids),
    log: decodeURIComponent(log),
    logPosition: Number(logPosition),
    prepared,
  };
}

function isOf(flavor: Flavor, gtids: string): boolean {
  if (gtids === '') return true;
  return flavor === 'mysql' ? /^[0-9a-f]{8}-/i.test(gtids) : /^\d+-\d+-\d+(,|$)/.test(gtids);
}

/** Which family of servers a position is of; null where nothing had happened yet. */
export function flavorOf(text: SourcePosition): Flavor | null {
  const [gtids = ''] = text.split(' ');
  if (gtids === '') return null;
  return isOf('mysql', gtids) ? 'mysql' : 'mariadb';
}

/** Bytes of log from one position to another; where the logs between are not known, at least as many as there are transactions. */
export function logDistance(from: Position, to: Position, logBytes: ReadonlyMap<string, number>): number {
  const transactions = Number(to.gtids.countBeyond(from.gtids));
  if (transactions <= 0) return 0;
  return Math.max(transactions, bytesBetween(from, to, logBytes) ?? 0);
}

function bytesBetween(from: Position, to: Position, logBytes: ReadonlyMap<string, number>): number | null {
  if (from.log === to.log) return to.logPosition - from.logPosition;
  const logs = [...logBytes.keys()];
  const [first, last] = [logs.indexOf(from.log), logs.indexOf(to.log)];
  if (first < 0 || last <= first) return null;
  const between = logs.slice(first, last).reduce((sum, log) => sum + (logBytes.get(log) ?? 0), 0);
  return between - from.logPosition + to.logPosition;
}

/** Which of two places of one server's log comes first: below 0 if `a` does. */
export function comparePlaces(
  a: Pick<Position, 'log' | 'logPosition'>,
  b: Pick<Position, 'log' | 'logPosition'>,
): number {
  const number = (log: string) => Number(/\.(\d+)$/.exec(log)?.[1] ?? 0);
  return number(a.log) - number(b.log) || a.logPosition - b.logPosition;
}
