import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DailiesError } from '../../error.ts';
import { isProcessAlive } from '../../process-alive.ts';

/*
 * Folders of LMDB that can be made anew from other data. LMDB maps its file into memory and trusts it: a damaged page ends
 * the process. So the header is looked at before it is opened, and files beside it tell what may have damaged it:
 *
 *   opened-by      the process that opened it and has not yet written a commit: if that is dead, it may have died of it
 *   unsynced-boot  the run of the operating system in which it is written without being flushed to disk: what a process
 *                  wrote outlives the process, but not the machine's crash, and pages reach the disk in any order
 */
const openMarker = 'opened-by';
const unsyncedMarker = 'unsynced-boot';
const dataFile = 'data.mdb';
const metaMagic = 0xbeefc0de;
const metaMagicOffset = 24;
const pageBytes = 4096;
/** Left free on the disk for whoever else writes to it. */
const spareBytes = 16 << 20;

/** Makes a folder of LMDB ready to be opened: what is damaged there, or what its last opener died with, is thrown away. */
export function beginOpening(directory: string): void {
  if (hasBrokenHeader(directory) || hasKilledOpener(directory)) rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, openMarker), String(process.pid));
}

/** Says that the folder was used and written without harm. */
export function endOpening(directory: string): void {
  rmSync(join(directory, openMarker), { force: true });
}

/** Tells one run of the operating system from all others; null where it cannot be told. */
export function currentBoot(): string | null {
  const path = '/proc/sys/kernel/random/boot_id';
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : null;
}

/**
 * Before a folder is opened to be written without flushing: one that was written so in another run of the operating system,
 * and not closed since, is thrown away. False where runs cannot be told apart: then each commit has to be flushed.
 */
export function beginUnsynced(directory: string, boot: string | null): boolean {
  const path = join(directory, unsyncedMarker);
  if (existsSync(path) && readFileSync(path, 'utf8') !== boot) rmSync(directory, { recursive: true, force: true });
  if (boot === null) return false;
  mkdirSync(directory, { recursive: true });
  // Durable before the first page is written.
  writeFileSync(path, boot, { flush: true });
  syncFile(directory);
  return true;
}

/** After the folder is closed: flushes what was written, so that it holds in the next run of the operating system, too. */
export function endUnsynced(directory: string): void {
  const path = join(directory, dataFile);
  if (existsSync(path)) syncFile(path);
  rmSync(join(directory, unsyncedMarker), { force: true });
}

/**
 * Throws `disk_full` where the disk cannot take so many changed entries, a page each: a page written through a mapping has
 * no way to say so but the end of the process.
 */
export function requireRoom(directory: string, entries: number): void {
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize >= spareBytes + entries * pageBytes) return;
  throw new DailiesError('disk_full', `The disk that holds "${directory}" is full. Free space and resume.`);
}

function syncFile(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function hasBrokenHeader(directory: string): boolean {
  const path = join(directory, dataFile);
  if (!existsSync(path)) return false;
  const descriptor = openSync(path, 'r');
  try {
    const header = Buffer.alloc(64);
    return readSync(descriptor, header, 0, 64, 0) < 64 || header.readUInt32LE(metaMagicOffset) !== metaMagic;
  } finally {
    closeSync(descriptor);
  }
}

function hasKilledOpener(directory: string): boolean {
  const path = join(directory, openMarker);
  if (!existsSync(path)) return false;
  const pid = Number(readFileSync(path, 'utf8'));
  return pid !== process.pid && !isProcessAlive(pid);
}
