/**
 * A double as MySQL and MariaDB print it (strings/dtoa.cc, my_gcvt): the fewest digits that are this number again,
 * with an exponent where the point would stand more than 15 places from the first digit, unless digits stand behind it, too.
 */
export function doubleText(value: number): string {
  if (Object.is(value, -0)) return '-0';
  if (value === 0) return '0';
  const [mantissa = '', exponent = ''] = Math.abs(value).toExponential().split('e');
  const sign = value < 0 ? '-' : '';
  const digits = mantissa.replace('.', '');
  const point = Number(exponent) + 1;
  if (point < -14 || (point > 15 && digits.length <= point)) return `${sign}${mantissa}e${point - 1}`;
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  if (digits.length <= point) return sign + digits.padEnd(point, '0');
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}
