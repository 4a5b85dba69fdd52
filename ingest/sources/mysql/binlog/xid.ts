import type { ByteReader } from './byte-reader.ts';

/** An XA transaction's id as the servers print it in XA statements: `X'6162',X'',1`. */
export function xidText(format: number, global: Buffer, branch: Buffer): string {
  return `X'${global.toString('hex')}',X'${branch.toString('hex')}',${format}`;
}

/** XA_PREPARE: Int8 one phase · Int32 format · Int32 · Int32 · id. In one phase it commits. */
export function readXaPrepare(reader: ByteReader): { isOnePhase: boolean; xid: string } {
  const isOnePhase = reader.u8() !== 0;
  const format = reader.bytes.readInt32LE(reader.skip(4));
  const [globalLength, branchLength] = [reader.u32(), reader.u32()];
  return { isOnePhase, xid: xidText(format, reader.take(globalLength), reader.take(branchLength)) };
}

const endOfXa = /^XA (COMMIT|ROLLBACK) (X'[0-9a-f]*',X'[0-9a-f]*',-?\d+)$/i;

/** What `XA COMMIT X'6162',X'',1` does to which transaction; null for other statements. */
export function parseXaEnd(sql: string): { xid: string; outcome: 'commit' | 'rollback' } | null {
  const match = endOfXa.exec(sql);
  if (match === null) return null;
  return {
    xid: (match[2] ?? '').toLowerCase().replaceAll('x', 'X'),
    outcome: match[1]?.toUpperCase() === 'COMMIT' ? 'commit' : 'rollback',
  };
}
