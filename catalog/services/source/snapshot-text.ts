import type { TableSnapshot } from './table-snapshot.ts';

/** In plain words: `4,000 of 9,000 rows, 1,200/s, 4 s left`. */
export function snapshotText({ rows, estimatedRows, rowsPerSecond, secondsLeft }: TableSnapshot): string {
  const count = (value: number) => value.toLocaleString('en-US');
  const of = estimatedRows === null ? '' : ` of ${count(estimatedRows)}`;
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
  return `${count(rows)}${of} rows, ${count(rowsPerSecond)}/s${left}`;
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
