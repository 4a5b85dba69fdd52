import { RawNumber } from '../../raw-number.ts';

/** A whole number of JSON or Avro, exactly; null for what is none. */
export function wholeNumber(raw: unknown): bigint | null {
  if (typeof raw === 'bigint') return raw;
  if (typeof raw === 'number') {
    if (Number.isSafeInteger(raw)) return BigInt(raw);
    // `parseExactJson` leaves a number that prints as it was written: its digits are right even where its value is not.
    return digitsOf(String(raw));
  }
  return raw instanceof RawNumber ? digitsOf(raw.text) : null;
}

function digitsOf(text: string): bigint | null {
  return /^-?\d{1,30}$/.test(text) ? BigInt(text) : null;
}

const words: Readonly<Record<string, number>> = { NaN: Number.NaN, Infinity: Infinity, '-Infinity': -Infinity };

/** A floating number; JsonConverter writes NaN and the infinities as texts. */
export function realNumber(raw: unknown): number | null {
  if (typeof raw === 'number') return raw;
  if (raw instanceof RawNumber) return Number(raw.text);
  return typeof raw === 'string' && Object.hasOwn(words, raw) ? (words[raw] ?? null) : null;
}

/** Bytes of Avro, or the Base64 that JsonConverter makes of them. */
export function bytesOf(raw: unknown): Uint8Array | null {
  // A copy: a part of a record would keep the whole of it in memory.
  if (raw instanceof Uint8Array) return Uint8Array.from(raw);
  if (typeof raw !== 'string' || raw.length % 4 !== 0 || !/^[A-Za-z\d+/]*={0,2}$/.test(raw)) return null;
  return Uint8Array.from(Buffer.from(raw, 'base64'));
}

/** java.math.BigInteger's bytes: two's complement, the highest first; 0 without any. */
export function bigInteger(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  const value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  return BigInt.asIntN(bytes.length * 8, value);
}

/** All digits: `-12.30` for -1230 at scale 2, `1200` for 12 at scale -2. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale <= 0) return String(unscaled * 10n ** BigInt(-scale));
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
