import type { Schema, Value } from '../../schemas/schema.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { SchemaState } from '../metadata/schema-evolution.ts';
import type { JoinedFiles } from './joined-files.ts';
import type { OpenFiles } from './open-files.ts';

/** The rows that will replace a table, written to data files as they come, one by one or in files of their own. */
export class Replacement {
  readonly schema: Schema;
  readonly schemaState: SchemaState;
  readonly #files: OpenFiles;
  readonly #joined: JoinedFiles;

  constructor(schema: Schema, schemaState: SchemaState, files: OpenFiles, joined: JoinedFiles) {
    this.schema = schema;
    this.schemaState = schemaState;
    this.#files = files;
    this.#joined = joined;
  }

  async append(row: readonly Value[]): Promise<void> {
    await this.#files.write(row);
  }

  /** Appends the rows of a Parquet file with numbered columns; false where each row has to go to its own partition. */
  async appendFile(parquet: Uint8Array, rows: number): Promise<boolean> {
    const { layout } = this.#files;
    if (layout.partition.length > 0) return false;
    await this.#joined.append(parquet, rows, layout);
    return true;
  }

  async finish(): Promise<DataFile[]> {
    return [...(await this.#joined.finish()), ...(await this.#files.finish())];
  }

  async abandon(): Promise<void> {
    await this.#joined.abandon();
    await this.#files.abandon();
  }
}
