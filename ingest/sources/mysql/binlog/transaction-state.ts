import type { BinlogEnd, BinlogItem } from './binlog-item.ts';
import type { EventHeader } from './event-header.ts';
import type { GtidSet } from './gtid.ts';
import type { TransactionHead } from './gtid-event.ts';
import type { LogPlace } from './log-place.ts';
import { malformed } from './protocol-error.ts';
import type { QueryText } from './query-event.ts';
import { parseXaEnd } from './xid.ts';

/**
 * Where a transaction stands, by what the log says next:
 *
 *     none      GTID → begun
 *     begun     BEGIN, XA START → open · XA COMMIT, XA ROLLBACK, another statement → ended (MySQL, MariaDB standalone)
 *               MariaDB without "standalone": open at once, there is no BEGIN
 *     open      rows, statements → open · XID, COMMIT → commit · ROLLBACK → rollback · XA PREPARE → prepare
 */
type State = 'none' | 'begun' | 'open';

export class TransactionState {
  readonly #position: GtidSet;
  readonly #place: LogPlace;
  #state: State = 'none';
  #head: TransactionHead | null = null;

  constructor(position: GtidSet, place: LogPlace) {
    this.#position = position;
    this.#place = place;
  }

  begin(head: TransactionHead, header: EventHeader, items: BinlogItem[]): void {
    if (this.#state !== 'none') throw malformed('a transaction has no end');
    this.#head = head;
    const isStandalone = head.mariadb === null || head.mariadb.isStandalone || head.mariadb.isCompleted;
    this.#state = isStandalone ? 'begun' : 'open';
    items.push({
      kind: 'begin',
      gtid: head.gtid,
      timeMicros: head.timeMicros,
      serverId: header.serverId,
      log: this.#place.log,
      logPosition: this.#place.position,
      xid: head.xid,
    });
  }

  query(query: QueryText, header: EventHeader, items: BinlogItem[]): void {
    const { sql } = query;
    if (this.#state === 'none') throw malformed('a statement stands outside a transaction');
    if (sql === 'BEGIN' || /^XA START /.test(sql)) this.#state = 'open';
    else if (sql === 'COMMIT' && this.#state === 'open') this.#end('commit', null, null, items);
    else if (sql === 'ROLLBACK' && this.#state === 'open') this.#end('rollback', null, null, items);
    else if (/^(SAVEPOINT|RELEASE SAVEPOINT|XA END) /.test(sql)) return;
    else this.#statement(query, header, items);
  }

  #statement(query: QueryText, header: EventHeader, items: BinlogItem[]): void {
    const xa = parseXaEnd(query.sql);
    if (xa !== null) {
      this.#end(xa.outcome, null, xa, items);
      return;
    }
    // An ALTER that a MariaDB replica may begin early: what it does is told again where it ends.
    const isEarly = this.#head?.mariadb?.isAlterStart === true;
    if (!isEarly) items.push({ kind: 'query', ...query, timeSeconds: header.timeSeconds });
    if (this.#state === 'begun') this.#end('commit', null, null, items);
  }

  mustBeOpen(): void {
    if (this.#state !== 'open') throw malformed('rows stand outside a transaction');
  }

  commit(items: BinlogItem[]): void {
    this.mustBeOpen();
    this.#end('commit', null, null, items);
  }

  prepare({ isOnePhase, xid }: { isOnePhase: boolean; xid: string }, items: BinlogItem[]): void {
    this.mustBeOpen();
    if (isOnePhase) this.#end('commit', null, null, items);
    else this.#end('prepare', xid, null, items);
  }

  /** A log begins. One before it that ends in the midst of a transaction is of a server that crashed and has rolled it back. */
  abandon(items: BinlogItem[]): void {
    if (this.#state === 'none') return;
    const gtid = this.#head?.gtid ?? '';
    this.#state = 'none';
    this.#head = null;
    const { log, position } = this.#place;
    // The id is free again: the position stays before it.
    const before = this.#position.toString();
    items.push({ kind: 'rollback', gtid, xid: null, xa: null, position: before, log, logPosition: position });
  }

  /** The server has nothing more. Inside a transaction it has, but waits for it to be written. */
  idle(items: BinlogItem[]): void {
    if (this.#state !== 'none') return;
    const { log, position } = this.#place;
    items.push({ kind: 'idle', position: this.#position.toString(), log, logPosition: position });
  }

  #end(kind: BinlogEnd['kind'], xid: string | null, xa: BinlogEnd['xa'], items: BinlogItem[]): void {
    const gtid = this.#head?.gtid ?? '';
    this.#position.add(gtid);
    this.#state = 'none';
    this.#head = null;
    const { log, position } = this.#place;
    items.push({ kind, gtid, xid, xa, position: this.#position.toString(), log, logPosition: position });
  }
}
