/** A file that something else writes through the local disk. */
export interface NewFile {
  /** Where it is to be written. */
  path: string;
  /** It is written whole: durable at its location when resolved. Throws `disk_full`. */
  finish(): Promise<void>;
  /** It could not be written: what is there of it goes. */
  abandon(): Promise<void>;
}

/** Files that stay on this machine's disk until they are let go. */
export interface LocalFiles extends Disposable {
  /** In the order asked for; each is `localPath` of its location. */
  paths: string[];
}

/** A file as a listing tells of it. */
export interface StoredFile {
  location: string;
  sizeBytes: number;
  modifiedMs: number;
}

/**
 * One kind of place where the files of tables are. Files are written once and never changed. Throws `not_found` for a
 * file that is gone, `disk_full`, and where there is a server `storage_refused`, `storage_throttled`,
 * `storage_unreachable`.
 */
export interface Storage {
  readBytes(location: string): Promise<Buffer>;
  /** `length` bytes from `offset`, fewer at the file's end. */
  readRange(location: string, offset: number, length: number): Promise<Buffer>;
  /** Writes a file that must not exist yet; durable when resolved, its folder's entry after `syncTableFolders`. */
  writeBytes(location: string, bytes: string | Uint8Array): Promise<void>;
  newFile(location: string): NewFile;
  localPath(location: string): string;
  holdLocal(locations: readonly string[]): Promise<LocalFiles>;
  removeFiles(locations: readonly string[]): Promise<void>;
  listFiles(prefix: string): AsyncGenerator<StoredFile>;
  makeTableFolders(location: string): Promise<void>;
  syncTableFolders(location: string): Promise<void>;
  /** Removes what uploads below a location, begun before a time, have left; resolves with the number of uploads. */
  removeUnfinished(prefix: string, beforeMs: number): Promise<number>;
}
