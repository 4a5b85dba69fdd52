import { DailiesError } from '#catalog/error.ts';
import type { BinlogItem, BinlogRows, Flavor } from './binlog-item.ts';
import { ByteReader } from './byte-reader.ts';
import { inflatePart, payloadOf } from './compression.ts';
import {
  artificialFlag,
  type EventHeader,
  hasChecksum,
  headerBytes,
  ignorableFlag,
  readFormatDescription,
  readHeader,
} from './event-header.ts';
import { eventName, eventTypes } from './event-types.ts';
import type { GtidSet } from './gtid.ts';
import { readMariadbGtid, readMysqlGtid, readTaggedGtid, type TransactionHead } from './gtid-event.ts';
import { LogPlace } from './log-place.ts';
import { malformed } from './protocol-error.ts';
import { readQuery } from './query-event.ts';
import { type RowsOp, readRowsHead, sqlForeignKeyFlag } from './rows-event.ts';
import { TableMaps } from './table-maps.ts';
import { TransactionState } from './transaction-state.ts';
import { readXaPrepare } from './xid.ts';

export interface DecoderOptions {
  flavor: Flavor;
  /** What was read before; every transaction is added to it. */
  position: GtidSet;
  /** Ids of collations, each with its character set. */
  charsets: ReadonlyMap<number, string>;
  wants(database: string, table: string): boolean;
}

/** Kinds of rows events: what they do, the version of their head, and what is odd about them. */
const rowsEvents = new Map<number, { op: RowsOp; version: 1 | 2; isPartial: boolean; isCompressed: boolean }>();
for (const [first, version, isCompressed] of [
  [eventTypes.writeRowsV1, 1, false],
  [eventTypes.writeRows, 2, false],
  [eventTypes.writeRowsCompressedV1, 1, true],
  [eventTypes.writeRowsCompressed, 2, true],
] as const) {
  for (const [offset, op] of (['insert', 'update', 'delete'] as const).entries()) {
    rowsEvents.set(first + offset, { op, version, isPartial: false, isCompressed });
  }
}
rowsEvents.set(eventTypes.partialUpdateRows, { op: 'update', version: 2, isPartial: true, isCompressed: false });

/** Events that tell nothing that we must know: context of statements, other replicas' business, comments. */
const passedOver = new Set<number>([
  eventTypes.stop,
  eventTypes.intvar,
  eventTypes.rand,
  eventTypes.userVar,
  eventTypes.beginLoadQuery,
  eventTypes.ignorable,
  eventTypes.rowsQuery,
  eventTypes.previousGtids,
  eventTypes.transactionContext,
  eventTypes.viewChange,
  eventTypes.annotateRows,
  eventTypes.binlogCheckpoint,
  eventTypes.gtidList,
]);

/**
 * Turns events, as the server sends them one after another, into items. Pure: bytes in, items out. A transaction is
 * never held: its rows are handed on event by event.
 */
export class BinlogDecoder {
  readonly #options: DecoderOptions;
  readonly #tables: TableMaps;
  readonly #transaction: TransactionState;
  readonly #place = new LogPlace();
  #isChecksummed = false;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#tables = new TableMaps(options);
    this.#transaction = new TransactionState(options.position, this.#place);
  }

  /**
   * Decodes one event and adds what it tells to `items`. Gives the packed events of a compressed transaction, which must
   * be unpacked and given to `decodePacked` one after another before the next event; else null. The buffer is not kept.
   */
  decode(event: Buffer, items: BinlogItem[]): { isCompressed: boolean; bytes: Buffer } | null {
    const header = readHeader(event);
    if (header.type === eventTypes.formatDescription) {
      this.#isChecksummed = readFormatDescription(event).isChecksummed;
      // A server that was started anew numbers its tables anew.
      this.#tables.clear();
      this.#transaction.abandon(items);
      return null;
    }
    const body = new ByteReader(event, headerBytes, event.length - this.#checksumBytes(event, header));
    this.#place.pass(header);
    if (header.type === eventTypes.transactionPayload) return payloadOf(body);
    this.#read(header, body, event.length, items);
    return null;
  }

  /** An event out of a compressed transaction: without a checksum, and without a place of its own. */
  decodePacked(event: Buffer, items: BinlogItem[]): void {
    const header = readHeader(event);
    this.#read(header, new ByteReader(event, headerBytes), event.length, items);
  }

  #checksumBytes(event: Buffer, header: EventHeader): number {
    // The one that is made as sending begins comes before the log says whether it has checksums, and between two logs that
    // differ. Nothing else goes unchecked: a rows event with one wrong byte could pass for a heartbeat, and be left out.
    const isMade =
      header.type === eventTypes.rotate && (header.endPosition === 0 || (header.flags & artificialFlag) !== 0);
    if (isMade) return hasChecksum(event) ? 4 : 0;
    if (!this.#isChecksummed) return 0;
    if (hasChecksum(event)) return 4;
    throw malformed(`the checksum of a ${eventName(header.type)} event is wrong`);
  }

  #read(header: EventHeader, body: ByteReader, bytes: number, items: BinlogItem[]): void {
    const rows = rowsEvents.get(header.type);
    if (rows !== undefined) {
      this.#readRows(header, body, bytes, rows, items);
      return;
    }
    switch (header.type) {
      case eventTypes.tableMap:
        this.#tables.announce(body);
        return;
      case eventTypes.gtid:
        this.#begin(readMysqlGtid(body, header.timeSeconds), header, items);
        return;
      case eventTypes.taggedGtid:
        this.#begin(readTaggedGtid(body), header, items);
        return;
      case eventTypes.mariadbGtid:
        this.#begin(readMariadbGtid(body, header.serverId, header.timeSeconds), header, items);
        return;
      case eventTypes.query:
        this.#transaction.query(readQuery(body, 'plain', this.#options.charsets), header, items);
        return;
      case eventTypes.queryCompressed:
        this.#transaction.query(readQuery(body, 'compressed', this.#options.charsets), header, items);
        return;
      case eventTypes.executeLoadQuery:
        this.#transaction.query(readQuery(body, 'load', this.#options.charsets), header, items);
        return;
      case eventTypes.xid:
        this.#transaction.commit(items);
        return;
      case eventTypes.xaPrepare:
        this.#transaction.prepare(readXaPrepare(body), items);
        return;
      case eventTypes.rotate: {
        const position = Number(body.u64());
        this.#place.rotate(body.utf8(body.left), position, header);
        return;
      }
      case eventTypes.heartbeat:
      case eventTypes.heartbeatV2:
        this.#transaction.idle(items);
        return;
      default:
        this.#readOther(header);
    }
  }

  #begin(head: TransactionHead, header: EventHeader, items: BinlogItem[]): void {
    this.#tables.forgetAnnounced();
    this.#transaction.begin(head, header, items);
  }

  #readOther(header: EventHeader): void {
    if (passedOver.has(header.type) || (header.flags & ignorableFlag) !== 0) return;
    switch (header.type) {
      case eventTypes.anonymousGtid:
        throw new DailiesError(
          'source_not_ready',
          'The server logs transactions without ids, by which alone we know where we are; run: SET GLOBAL gtid_mode = ON; (by way of OFF_PERMISSIVE and ON_PERMISSIVE), with enforce_gtid_consistency = ON.',
        );
      case eventTypes.incident:
        throw new DailiesError(
          'source_slot_lost',
          'The server has noted in its binary log that changes are missing there; the tables must be read anew.',
        );
      case eventTypes.startEncryption:
        throw new DailiesError(
          'source_protocol',
          'The server sends its binary log encrypted (startEncryption), which no server does to a replica.',
        );
      default:
        throw malformed(`it holds an event of an unknown kind (${eventName(header.type)})`, { type: header.type });
    }
  }

  #readRows(
    header: EventHeader,
    body: ByteReader,
    bytes: number,
    kind: { op: RowsOp; version: 1 | 2; isPartial: boolean; isCompressed: boolean },
    items: BinlogItem[],
  ): void {
    const { tableId, flags, rest } = readRowsHead(body, kind.version);
    const mapped = this.#tables.find(tableId);
    this.#transaction.mustBeOpen();
    if (mapped === null) return;
    const unpack = kind.isCompressed ? inflatePart : null;
    const rows: BinlogRows['rows'] = mapped.reader.read(rest, kind.op, kind.isPartial, unpack);
    if (rows.length === 0) return;
    const { timeSeconds } = header;
    const tellsCascades = this.#options.flavor === 'mysql' && (flags & sqlForeignKeyFlag) !== 0;
    items.push({ kind: 'rows', op: kind.op, table: mapped.table, rows, bytes, timeSeconds, tellsCascades });
  }
}
