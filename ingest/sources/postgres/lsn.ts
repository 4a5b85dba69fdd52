import type { SourcePosition } from '../../event.ts';

/** A log sequence number as the server prints it (`0/16B3748`) as a number of bytes since the cluster's beginning. */
export function parseLsn(text: SourcePosition): bigint {
  const slash = text.indexOf('/');
  return (BigInt(`0x${text.slice(0, slash)}`) << 32n) | BigInt(`0x${text.slice(slash + 1)}`);
}

export function formatLsn(lsn: bigint): SourcePosition {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
