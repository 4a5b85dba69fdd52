import { ByteReader } from './byte-reader.ts';
import { decoderOf } from './charsets.ts';
import { inflatePart } from './compression.ts';

export interface QueryText {
  database: string;
  sql: string;
  sqlMode: bigint;
  errorCode: number;
}

/**
 * QUERY (libs/mysql/binlog/event/statement_events.h): Int32 thread · Int32 seconds · Int8 length · Int16 error · Int16
 * length · variables · database · 0 · statement. EXECUTE_LOAD_QUERY has 13 bytes more after the second length. The
 * statement is in its client's character set, which is among the variables.
 */
export function readQuery(
  reader: ByteReader,
  kind: 'plain' | 'compressed' | 'load',
  charsets: ReadonlyMap<number, string>,
): QueryText {
  reader.skip(8);
  const databaseLength = reader.u8();
  const errorCode = reader.u16();
  const variablesLength = reader.u16();
  if (kind === 'load') reader.skip(13);
  const { sqlMode, collation } = readVariables(new ByteReader(reader.take(variablesLength)));
  const database = reader.utf8(databaseLength);
  reader.skip(1);
  const rest = reader.take(reader.left);
  const text = kind === 'compressed' ? inflatePart(rest) : rest;
  const decode = decoderOf(charsets.get(collation ?? 0) ?? 'utf8mb4');
  // What is not text of its charset is told byte by byte, so that it can still be read by its keywords.
  const sql = decode?.(text, 0, text.length) ?? text.toString('latin1');
  return { database, sql, sqlMode, errorCode };
}

/** Each is Int8 kind and a value whose length the kind tells; those we want come before all that are unknown. */
function readVariables(reader: ByteReader): { sqlMode: bigint; collation: number | null } {
  let sqlMode = 0n;
  let collation: number | null = null;
  while (reader.left > 0) {
    switch (reader.u8()) {
      case 0: // flags
        reader.skip(4);
        break;
      case 1:
        sqlMode = reader.u64();
        break;
      case 2: // catalog, with a zero byte
        reader.skip(reader.u8() + 1);
        break;
      case 3: // auto_increment
        reader.skip(4);
        break;
      case 4: // client, connection, server
        collation = reader.u16();
        reader.skip(4);
        break;
      case 5: // time zone
      case 6: // catalog
        reader.skip(reader.u8());
        break;
      default:
        return { sqlMode, collation };
    }
  }
  return { sqlMode, collation };
}
