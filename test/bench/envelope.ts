import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges } from '#ingest/event.ts';
import { RawNumber } from '#ingest/raw-number.ts';

/** An event as the JSON, without schemas, that Debezium's envelope of it is. Enough of it to compare the work; no topic has it. */
export function envelope(changes: TableChanges, event: ChangeEvent): string {
  const transaction = changes.transactions[event.tx];
  return JSON.stringify({
    before: event.before && record(changes.schema, event.before),
    after: event.after && record(changes.schema, event.after),
    source: {
      version: '1',
      connector: 'postgresql',
      name: 'bench',
      ts_us: Number(transaction?.timeMicros ?? 0n),
      snapshot: 'false',
      table: changes.table,
      txId: transaction?.id,
      lsn: transaction?.position,
    },
    op: event.op,
    ts_ms: Date.now(),
  });
}

function record(schema: Schema, row: Row): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [index, field] of schema.fields.entries()) {
    const value = row[index];
    if (value === UNKNOWN) fields[field.name] = '__debezium_unavailable_value';
    else fields[field.name] = typeof value === 'bigint' ? new RawNumber(String(value)) : value;
  }
  return fields;
}
