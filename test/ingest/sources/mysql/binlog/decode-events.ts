import { BinlogDecoder } from '#ingest/sources/mysql/binlog/binlog-decoder.ts';
import type { BinlogItem, Flavor } from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { parseGtidSet } from '#ingest/sources/mysql/binlog/gtid.ts';
import { PackedEvents } from '#ingest/sources/mysql/binlog/packed-events.ts';
import { bytes, type Column, event, formatDescription } from './encode.ts';

const charsets = new Map([
  [8, 'latin1'],
  [28, 'gbk'],
  [45, 'utf8mb4'],
  [63, 'binary'],
  [255, 'utf8mb4'],
]);

/** What these events tell, compressed ones unpacked, to one who has read up to `position`. */
export async function decode(
  events: readonly Buffer[],
  position = '',
  flavor: Flavor = 'mysql',
): Promise<BinlogItem[]> {
  const decoder = new BinlogDecoder({ flavor, position: parseGtidSet(flavor, position), charsets, wants: () => true });
  const items: BinlogItem[] = [];
  for (const one of events) {
    const packed = decoder.decode(one, items);
    if (packed === null) continue;
    const unpacked = new PackedEvents(packed);
    for (let inner = await unpacked.next(); inner !== null; inner = await unpacked.next()) {
      decoder.decodePacked(inner, items);
    }
  }
  return items;
}

/** Made for the connection: where sending begins. */
export const rotate = (log: string) => event(4, [bytes.u64(4n), Buffer.from(log)], { flags: 0x20, endPosition: 0 });
export const start = [rotate('binlog.000007'), formatDescription()];

export const id: Column = { name: 'id', type: 3, isNullable: false };
export const title: Column = { name: 'title', type: 15, beside: bytes.u16(80) };
export const long = (value: number) => bytes.u32(value);
export const short = (value: string) => bytes.text(value);
