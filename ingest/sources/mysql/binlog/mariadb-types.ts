import { formatUuid } from './mysql-gtid-set.ts';

/**
 * MariaDB's types that its log carries as plain bytes, as SELECT prints them. Trailing zero bytes may be missing in what
 * is given, for the log leaves them out.
 */

/** A UUID column's 16 bytes; the order in which tables store them, by time, is turned back for the log. */
export function uuidText(bytes: Uint8Array): string {
  return formatUuid(padded(bytes, 16));
}

export function inet4Text(bytes: Uint8Array): string {
  return [...padded(bytes, 4)].join('.');
}

/** An INET6 column's 16 bytes: the longest run of zero groups (one is enough) is `::`; IPv4-mapped and -compatible ones end in dots. */
export function inet6Text(bytes: Uint8Array): string {
  const address = padded(bytes, 16);
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2));
  let runStart = -1;
  let runLength = 0;
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
