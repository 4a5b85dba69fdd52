import { formatUuid } from './mysql-gtid-set.ts';

/**
 * MariaDB's types that its log carries as plain bytes, as SELECT prints them. Trailing zero bytes may be missing in what
 * is given, for the log leaves them out.
 */

/**
 * A UUID column's 16 bytes (plugin/type_uuid/sql_type_uuid.h): versions 1 to 5 are stored with their five groups in the
 * reverse order, so that they sort by time, others as they are. What is stored tells which: a swapped one has the variant
 * bits in byte 6 and a version below 6 in byte 8.
 */
export function uuidText(bytes: Uint8Array): string {
  const stored = padded(bytes, 16);
  const isSwapped = stored.readUInt8(6) >= 0x80 && (-stored.readInt8(8) & 0x80) !== 0;
  if (!isSwapped) return formatUuid(stored);
  const part = (from: number, to: number) => stored.toString('hex', from, to);
  return `${part(12, 16)}-${part(10, 12)}-${part(8, 10)}-${part(6, 8)}-${part(0, 6)}`;
}

export function inet4Text(bytes: Uint8Array): string {
  return [...padded(bytes, 4)].join('.');
}

/** An INET6 column's 16 bytes: the longest run of at least two zero groups is `::`; IPv4-mapped and -compatible ones end in dots. */
export function inet6Text(bytes: Uint8Array): string {
  const address = padded(bytes, 16);
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2));
  let runStart = -1;
  let runLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length += 1;
    if (length > runLength) [runStart, runLength] = [start, length];
  }
  const isMapped = runStart === 0 && runLength === 5 && groups[5] === 0xffff;
  const isCompatible = runStart === 0 && runLength === 6;
  const words = groups.map((group) => group.toString(16));
  if (isMapped || isCompatible) words.splice(6, 2, inet4Text(address.subarray(12)));
  if (runStart < 0) return words.join(':');
  return `${words.slice(0, runStart).join(':')}::${words.slice(runStart + runLength).join(':')}`;
}

function padded(bytes: Uint8Array, length: number): Buffer {
  const whole = Buffer.alloc(length);
  whole.set(bytes.subarray(0, length));
  return whole;
}
