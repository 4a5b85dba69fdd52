const windowMs = 30_000;

/** How far a snapshot is, as `status` and the pages show it. */
export interface SnapshotFigures {
  rows: number;
  /** Of the whole table, as its source takes it; never less than `rows`. */
  estimatedRows: number | null;
  /** Over the last half minute. */
  rowsPerSecond: number;
  /** Null where it cannot be told. */
  secondsLeft: number | null;
}

/** Counts a snapshot's rows. A chunk tells where it stands; rows come before their chunk is told to be complete. */
export class SnapshotRate {
  #rows: number;
  #estimatedRows: number | null;
  #samples: { atMs: number; rows: number }[] = [];

  constructor(rows: number, estimatedRows: number | null) {
    this.#rows = rows;
    this.#estimatedRows = estimatedRows;
  }

  add(rows: number, nowMs: number): void {
    this.set(this.#rows + rows, this.#estimatedRows, nowMs);
  }

  set(rows: number, estimatedRows: number | null, nowMs: number): void {
    if (this.#samples.length === 0) this.#samples.push({ atMs: nowMs, rows: this.#rows });
    this.#rows = rows;
    this.#estimatedRows = estimatedRows;
    if (this.#samples.at(-1)?.atMs !== nowMs) this.#samples.push({ atMs: nowMs, rows });
  }

  at(nowMs: number): SnapshotFigures {
    while (this.#samples.length > 1 && nowMs - (this.#samples[0]?.atMs ?? nowMs) > windowMs) this.#samples.shift();
    const first = this.#samples[0];
    const seconds = first ? (nowMs - first.atMs) / 1000 : 0;
    const rowsPerSecond = first && seconds > 0 ? Math.round((this.#rows - first.rows) / seconds) : 0;
    const estimatedRows = this.#estimatedRows === null ? null : Math.max(this.#rows, Math.round(this.#estimatedRows));
    const left = estimatedRows === null || rowsPerSecond <= 0 ? null : (estimatedRows - this.#rows) / rowsPerSecond;
    return { rows: this.#rows, estimatedRows, rowsPerSecond, secondsLeft: left === null ? null : Math.ceil(left) };
  }
}
