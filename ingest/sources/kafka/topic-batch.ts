import { DailiesError } from '#catalog/error.ts';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import type { BatchItem, SourcePosition, TableChanges, Transaction } from '../../event.ts';
import { type Opened, openEnvelope } from './envelope.ts';
import { badMessage, type MessageDecoder, type MessagePlace } from './message-decoder.ts';
import type { TopicRecord } from './topic-reader.ts';
import type { DecodedChange, TopicTable } from './topic-table.ts';

/** A change with what its record tells of its transaction. */
export interface ReadChange extends DecodedChange {
  transaction: string | null;
  timeMicros: bigint | null;
}

/** A record's changes: none, or one. */
export class ChangeReader {
  readonly #decoder: MessageDecoder;
  readonly #table: TopicTable;
  readonly #source: string;
  /** The key of a delete that a tombstone may follow, by partition. */
  readonly #deleted = new Map<number, Uint8Array>();

  constructor(decoder: MessageDecoder, table: TopicTable, source: string) {
    this.#decoder = decoder;
    this.#table = table;
    this.#source = source;
  }

  /** To be called before `read`: fetches schemas that the records name. */
  async prepare(records: readonly TopicRecord[], topic: string, partition: number, signal: AbortSignal): Promise<void> {
    for (const { key, value, offset } of records) {
      if (!this.#decoder.lacks(key) && !this.#decoder.lacks(value)) continue;
      try {
        await this.#decoder.prepare([key, value], signal);
      } catch (thrown) {
        throw this.#named(thrown, { topic, partition, offset });
      }
    }
  }

  /** Null for a record that changes nothing. `last`: the change before it in this partition. Throws `value_unsupported` with table and place. */
  read(topic: string, partition: number, record: TopicRecord, last: ReadChange | null): ReadChange | null {
    const place = { topic, partition, offset: record.offset };
    try {
      const deleted = this.#deleted.get(partition);
      this.#deleted.delete(partition);
      if (record.value === null) {
        // It says once more what the delete before it said; alone where compaction left nothing else.
        if (record.key === null || (deleted && Buffer.compare(deleted, record.key) === 0)) return null;
        const key = this.#decoder.decode(record.key, { ...place, part: 'key' });
        const change = this.#table.tombstone(key, place);
        return change && { ...change, transaction: null, timeMicros: toMicros(record.timestampMs) };
      }
      const opened = this.#open(record.value, { ...place, part: 'value' });
      if (opened.kind === 'message') return null;
      if (opened.kind === 'other') throw badMessage({ ...place, part: 'value' }, opened.what);
      const key = record.key && this.#decoder.decode(record.key, { ...place, part: 'key' });
      const { envelope } = opened;
      const change = this.#table.change(envelope, key, place);
      if (change.event.op === 'd' && record.key) this.#deleted.set(partition, record.key);
      this.#refuseTornKeyChange(change, record, last, place);
      return {
        ...change,
        transaction: envelope.transaction,
        timeMicros: envelope.timeMicros ?? toMicros(record.timestampMs),
      };
    } catch (thrown) {
      throw this.#named(thrown, place);
    }
  }

  /** Where nobody tells types, how a number is written tells one: of fields that are known nothing is asked. */
  #open(value: Uint8Array, place: MessagePlace): Opened {
    const opened = openEnvelope(this.#decoder.decode(value, place));
    if (opened.kind !== 'change' || opened.envelope.rowType !== null) return opened;
    const { before, after } = opened.envelope;
    if (this.#table.knowsAll(after) && this.#table.knowsAll(before)) return opened;
    return openEnvelope(this.#decoder.decode(value, place, true));
  }

  /** Under a new key, values that were not told are those of the row before; it is known only where it stands right there. */
  #refuseTornKeyChange(
    { event, schema }: DecodedChange,
    record: TopicRecord,
    last: ReadChange | null,
    { topic, partition, offset }: { topic: string; partition: number; offset: number },
  ): void {
    if (!isKeyChange(record) || event.after === null || last?.event.op === 'd') return;
    const unknown = event.after.indexOf(UNKNOWN);
    if (unknown < 0) return;
    const field = schema.fields[unknown]?.name ?? '';
    throw new DailiesError(
      'value_unsupported',
      `The record of ${topic}, partition ${partition}, offset ${offset}, moves a row to another key and leaves out its ${field}, which stands under the old key in another partition. Set REPLICA IDENTITY FULL for the table, or give its topic one partition, and have Debezium take a new snapshot of it.`,
      { details: { topic, partition, offset, field } },
    );
  }

  #named(thrown: unknown, place: { topic: string; partition: number; offset: number }): unknown {
    if (!(thrown instanceof DailiesError) || thrown.details.table !== undefined) return thrown;
    const { code, message, details, cause } = thrown;
    // Not to reach a registry is nobody's fault but its own.
    if (code !== 'value_unsupported' && code !== 'source_not_ready') return thrown;
    return new DailiesError(code, message, {
      cause,
      details: { table: `${this.#source}.${this.#table.name}`, ...place, ...details },
    });
  }
}

/** True for the second half: the row under its new key, right after its removal under the old one. */
export function isKeyChange(record: TopicRecord): boolean {
  return record.headers.includes('__debezium.oldkey');
}

/** Consecutive changes of one schema as one item each. All transactions end at the batch's end: topics do not tell where. */
export function changeItems(
  table: string,
  changes: readonly ReadChange[],
  position: SourcePosition,
  nowMicros: bigint,
): BatchItem[] {
  const items: BatchItem[] = [];
  let list = null as TableChanges | null;
  let transactions: Transaction[] = [];
  for (const { schema, event, transaction, timeMicros } of changes) {
    if (list?.schema !== schema) {
      transactions = [];
      list = { table, schema, events: [], transactions };
      items.push({ kind: 'changes', changes: list });
    }
    const id = transaction ?? '0';
    const at = timeMicros ?? nowMicros;
    const current = transactions.at(-1);
    if (current?.id !== id || current.timeMicros !== at) transactions.push({ id, position, timeMicros: at });
    list.events.push({ ...event, tx: transactions.length - 1 });
  }
  return items;
}

/** How many rows more there are after these changes, if each of them is the first to tell of its row. */
export function addedRows(changes: readonly ReadChange[]): number {
  return changes.reduce((sum, { event: { op } }) => sum + (op === 'c' || op === 'r' ? 1 : op === 'd' ? -1 : 0), 0);
}

function toMicros(ms: number | null): bigint | null {
  return ms === null ? null : BigInt(ms) * 1000n;
}
