import { z } from 'zod';
import { ddlPrefix } from './ddl-trigger.ts';
import { type SourceTable, tableOfRow } from './discovery.ts';
import type { LogicalMessage } from './pgoutput.ts';

const SPACE = 32;

/** What one statement of DDL has changed, as our event triggers write it (ddl-trigger.ts). */
export interface DdlMessage {
  /** Object ids of tables whose rows are about to read differently, in front of the message with their new shape. */
  rewritten: readonly number[];
  /** Tables that a publication of ours holds, as they are after it. */
  tables: readonly SourceTable[];
  /** schema.table of others that it has made, renamed or altered. */
  names: readonly string[];
  /** schema.table of those that it has dropped. */
  gone: readonly string[];
}

const written = z.object({
  rewritten: z.array(z.coerce.number()).default([]),
  tables: z.array(z.record(z.string(), z.unknown())).default([]),
  names: z.array(z.string()).default([]),
  gone: z.array(z.string()).default([]),
});

/** Null for what is none: anybody who may connect can write a message. */
export function parseDdlMessage(content: Buffer): DdlMessage | null {
  try {
    const { rewritten, tables, names, gone } = written.parse(
      JSON.parse(content.toString('utf8', content.indexOf(SPACE))),
    );
    return { rewritten, tables: tables.map((row) => tableOfRow(asPrinted(row))), names, gone };
  } catch {
    return null;
  }
}

/**
 * The subtransaction of the DDL that a message of a transaction under way is about; null where there is none. The server tells
 * such a message with the id of the whole transaction.
 */
export function ddlTransaction({ prefix, content }: Pick<LogicalMessage, 'prefix' | 'content'>): number | null {
  if (prefix !== ddlPrefix) return null;
  const xid = Number(content.toString('latin1', 0, content.indexOf(SPACE)));
  return Number.isInteger(xid) && xid > 0 ? xid : null;
}

/** Each value as the text that a query gives. */
function asPrinted(row: Record<string, unknown>): Record<string, string | null> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (value === null || typeof value === 'string') return [name, value];
      if (typeof value === 'boolean') return [name, value ? 't' : 'f'];
      return [name, JSON.stringify(value)];
    }),
  );
}
