const whole = new Intl.NumberFormat('en-US');
const short = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** A number with its thousands separated. */
export function count(value: number | bigint): string {
  return typeof value === 'number' && !Number.isInteger(value) ? short.format(value) : whole.format(value);
}

/** "1 table", "3,201 tables". */
export function counted(value: number | bigint, one: string, many = `${one}s`): string {
  return `${count(value)} ${Number(value) === 1 ? one : many}`;
}

export function bytes(value: number | bigint): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let size = Number(value);
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}
