import { connectDuckdb } from '../files/duckdb-engine.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { placeRewrite, planRewrite } from './place-rewrite.ts';
import type { Rewrite, RewritePlan } from './rewrite-files.ts';
import { type WorkingFile, WorkingFiles } from './working-files.ts';
import type { WriterParts } from './writer-parts.ts';

/** How a table's writer lets its committed files be rewritten beside it. All but `followMoves` only where nothing is staged. */
export class TableRewrites {
  readonly #parts: WriterParts;
  readonly #isOld: (file: WorkingFile) => boolean;

  /** Files of which `isOld` holds go at the end of a snapshot under way: no other file takes their rows. */
  constructor(parts: WriterParts, isOld: (file: WorkingFile) => boolean) {
    this.#parts = parts;
    this.#isOld = isOld;
  }

  /** Chooses committed files that are worth being rewritten as one; null for none. The rewrite may run beside the writer. */
  async plan(): Promise<RewritePlan | null> {
    const { metadata, files, shape } = this.#parts;
    if (!metadata) return null;
    const lasting = files.all().filter((file) => !this.#isOld(file));
    return await planRewrite(files, lasting, shape.layout(), metadata, () => this.#parts.newLocation());
  }

  /**
   * Puts a rewrite in place of its files: rows deleted since it was planned are deleted in the new file, too. Gives what the
   * commit adds; null where the table has gone on without these files: then nothing is changed.
   */
  async place(rewrite: Rewrite): Promise<DataFile[] | null> {
    const { metadata, files, index } = this.#parts;
    if (!metadata) return null;
    await index.settled();
    const sources = rewrite.moves.flatMap(({ from }) => files.get(from) ?? []);
    if (sources.some((file) => this.#isOld(file))) return null;
    return await placeRewrite(files, metadata, rewrite, (location) =>
      index.moveFiles(this.#parts.indexTable(), location, rewrite.moves),
    );
  }

  /** Where rows were moved by rewrites, the index still tells their old places: rewrites its entries, in short steps. */
  async followMoves(signal: AbortSignal): Promise<void> {
    const { metadata, files, index } = this.#parts;
    if (!metadata) return;
    await index.settled();
    const connection = await connectDuckdb();
    try {
      for (const location of index.movedTo()) {
        const data = files.get(location)?.entry;
        const moved = new WorkingFiles(connection, data ? [{ data, deletes: [] }] : []);
        await index.followMoves({ ...this.#parts.indexTable(), files: moved }, location, signal);
      }
    } finally {
      connection.closeSync();
    }
  }
}
