import type { ByteReader } from './byte-reader.ts';

/** Bytes that the digits beyond groups of nine take. */
const bytesOf = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;

/** What one row's DECIMAL(precision, scale) takes. */
export interface DecimalShape {
  /** Digits of each part from the front, at most 9, none of 0. */
  groups: number[];
  bytes: number;
}

export function decimalShape(precision: number, scale: number): DecimalShape {
  const whole = precision - scale;
  const groups = [
    whole % 9,
    ...Array(Math.floor(whole / 9)).fill(9),
    ...Array(Math.floor(scale / 9)).fill(9),
    scale % 9,
  ];
  const digits = groups.filter((count) => count > 0);
  return { groups: digits, bytes: digits.reduce((sum, count) => sum + (bytesOf[count] ?? 0), 0) };
}

/**
 * The unscaled value of a DECIMAL (strings/decimal.cc, decimal2bin): groups of nine digits as 4 bytes, big-endian, with
 * the shorter ones at both ends; the first bit turned, and all bits of a negative number turned besides.
 */
export function readDecimal(reader: ByteReader, { groups, bytes }: DecimalShape): bigint {
  const { bytes: from } = reader;
  let at = reader.skip(bytes);
  const isNegative = ((from[at] ?? 0) & 0x80) === 0;
  const turn = isNegative ? 0xff : 0;
  let first = 0x80;
  let small = 0;
  let digits = 0;
  let large = 0n;
  for (const count of groups) {
    let value = 0;
    for (let index = bytesOf[count] ?? 0; index > 0; index--) {
      value = value * 256 + (((from[at] ?? 0) ^ turn ^ first) & 0xff);
      first = 0;
      at += 1;
    }
    // Two groups are the most that a number holds exactly beside others' digits.
    if (digits + count > 15) {
      large = large * powersOfTen(digits) + BigInt(small);
      small = 0;
      digits = 0;
    }
    small = small * 10 ** count + value;
    digits += count;
  }
  const value = large === 0n ? BigInt(small) : large * powersOfTen(digits) + BigInt(small);
  return isNegative ? -value : value;
}

const powers = Array.from({ length: 20 }, (_, exponent) => 10n ** BigInt(exponent));

function powersOfTen(exponent: number): bigint {
  return powers[exponent] ?? 10n ** BigInt(exponent);
}

/** As the server prints it: `-12.30`, `0.05`. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString();
  const sign = unscaled < 0n ? '-' : '';
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
