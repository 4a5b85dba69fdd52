import type { Schema, Value } from '../schemas/schema.ts';
import type { DataFile } from './manifest.ts';
import type { OpenFiles } from './open-files.ts';
import type { SchemaState } from './schema-conversion.ts';

/** The rows that will replace a table, written to data files as they come. */
export class Replacement {
  readonly schema: Schema;
  readonly schemaState: SchemaState;
  readonly #files: OpenFiles;

  constructor(schema: Schema, schemaState: SchemaState, files: OpenFiles) {
    this.schema = schema;
    this.schemaState = schemaState;
    this.#files = files;
  }

  async append(row: readonly Value[]): Promise<void> {
    await this.#files.write(row);
  }

  async finish(): Promise<DataFile[]> {
    return await this.#files.finish();
  }

  async abandon(): Promise<void> {
    await this.#files.abandon();
  }
}
