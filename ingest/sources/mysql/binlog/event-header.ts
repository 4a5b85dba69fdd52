import { crc32 } from 'node:zlib';
import { malformed } from './protocol-error.ts';

/** The event may be passed over by those who do not know its type. */
export const ignorableFlag = 0x80;
/** Made for this connection; stands in no log. */
export const artificialFlag = 0x20;
const inUseFlag = 1;
export const headerBytes = 19;

/**
 * What every event begins with, little-endian:
 *
 *     Int32 time, seconds since 1970 · Int8 type · Int32 server id · Int32 length · Int32 position of its end · Int16 flags
 */
export interface EventHeader {
  timeSeconds: number;
  type: number;
  serverId: number;
  /** Where it ends in its log, modulo 2^32; 0 where it stands in none. */
  endPosition: number;
  flags: number;
}

export function readHeader(event: Buffer): EventHeader {
  if (event.length < headerBytes || event.readUInt32LE(9) !== event.length) {
    throw malformed("an event's length is not what it says");
  }
  return {
    timeSeconds: event.readUInt32LE(0),
    type: event.readUInt8(4),
    serverId: event.readUInt32LE(5),
    endPosition: event.readUInt32LE(13),
    flags: event.readUInt16LE(17),
  };
}

/** Whether its last four bytes are the CRC32 of the others. */
export function hasChecksum(event: Buffer): boolean {
  const end = event.length - 4;
  return end >= headerBytes && crc32(event.subarray(0, end)) === event.readUInt32LE(end);
}

/**
 * FORMAT_DESCRIPTION: what the log's events look like. Int16 version, 4 · Byte50 server · Int32 time · Int8 19 · Int8 …
 * for each type the length of its own header · Int8 checksum (0 none, 1 CRC32) · Int32 its own CRC32, always there and
 * taken with the flag "in use" unset.
 */
export function readFormatDescription(event: Buffer): { isChecksummed: boolean; ownHeaderBytes(type: number): number } {
  const end = event.length - 5;
  if (end < headerBytes + 57 || event.readUInt16LE(headerBytes) !== 4 || event[headerBytes + 56] !== headerBytes) {
    throw malformed('the log is of a version before MySQL 5.6');
  }
  const algorithm = event.readUInt8(end);
  if (algorithm > 1) throw malformed('the log has checksums of an unknown kind', { algorithm });
  if (algorithm === 1) {
    const settled = Buffer.from(event);
    settled.writeUInt16LE(event.readUInt16LE(17) & ~inUseFlag, 17);
    if (!hasChecksum(settled)) throw malformed('the checksum of a formatDescription event is wrong');
  }
  const lengths = event.subarray(headerBytes + 57, end);
  return { isChecksummed: algorithm === 1, ownHeaderBytes: (type) => lengths[type - 1] ?? 0 };
}
