/**
 * What must hold across restarts about tables, whichever place a source keeps it in: columns that have their text beside them,
 * and what each table looked like when its rows were last known to be read right.
 */
export abstract class TableNotes {
  /** Columns, by table, that have a `<column>__text` beside them, in the order of need: without it a restart would look like a dropped column. */
  protected readonly text: Map<string, readonly string[]>;
  /** By table, as the source's own `table-imprint.ts` has it. */
  protected readonly imprints: Map<string, string>;
  /** Counts the changes, and up to which of them what is kept holds. */
  #version = 0;
  #savedVersion = 0;

  protected constructor(stored: { text: Record<string, readonly string[]>; imprints: Record<string, string> }) {
    this.text = new Map(Object.entries(stored.text));
    this.imprints = new Map(Object.entries(stored.imprints));
  }

  textColumns(table: string): readonly string[] {
    return this.text.get(table) ?? [];
  }

  addTextColumn(table: string, column: string): void {
    const columns = this.textColumns(table);
    if (columns.includes(column)) return;
    this.text.set(table, [...columns, column]);
    this.changed();
  }

  imprint(table: string): string | null {
    return this.imprints.get(table) ?? null;
  }

  setImprint(table: string, imprint: string): void {
    if (this.imprints.get(table) === imprint) return;
    this.imprints.set(table, imprint);
    this.changed();
  }

  /** False while something was added that is not kept yet. */
  get isSaved(): boolean {
    return this.#savedVersion === this.#version;
  }

  get version(): number {
    return this.#version;
  }

  markSaved(version: number): void {
    this.#savedVersion = Math.max(this.#savedVersion, version);
  }

  protected changed(): void {
    this.#version += 1;
  }
}
