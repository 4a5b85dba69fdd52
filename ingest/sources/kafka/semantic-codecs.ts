import type { FieldType } from '#catalog/schemas/schema.ts';
import { dayNumber, parseInstant, parseMicrosOfDay } from '../producer/date-text.ts';
import { isObject, NotOfType } from '../producer/decode-json.ts';
import type { ConnectType } from './connect-type.ts';
import { type Decoded, OddText, type ValueCodec } from './decoded.ts';
import { bigInteger, bytesOf, decimalText, wholeNumber } from './exact-number.ts';
import { dayText, instantText, isDay, isInstant, isTimeOfDay, timeText } from './time-text.ts';

type MakeCodec = (type: ConnectType) => ValueCodec | null;

const mostDigits = 38;

/** What Debezium's and Connect's names mean, by the names (debezium.io/documentation, Data type mappings). */
const makers: Readonly<Record<string, MakeCodec>> = {
  'org.apache.kafka.connect.data.Decimal': connectDecimal,
  'org.apache.kafka.connect.data.Date': () => days,
  'org.apache.kafka.connect.data.Time': () => timeOf(1_000_000n),
  'org.apache.kafka.connect.data.Timestamp': () => instantOf(1_000_000n),
  'io.debezium.data.VariableScaleDecimal': () => variableDecimal,
  'io.debezium.data.Uuid': () => uuid,
  'io.debezium.data.Bits': bits,
  'io.debezium.time.Date': () => days,
  'io.debezium.time.Time': () => timeOf(1_000_000n),
  'io.debezium.time.MicroTime': () => timeOf(1000n),
  'io.debezium.time.NanoTime': () => timeOf(1n),
  'io.debezium.time.Timestamp': () => instantOf(1_000_000n),
  'io.debezium.time.MicroTimestamp': () => instantOf(1000n),
  'io.debezium.time.NanoTimestamp': () => instantOf(1n),
  'io.debezium.time.ZonedTimestamp': () => zonedInstant,
  'io.debezium.time.IsoDate': () => isoDay,
  'io.debezium.time.IsoTime': () => isoTime,
  'io.debezium.time.IsoTimestamp': () => isoInstant,
};

/** Null for a name that says nothing beyond the type: Json, Xml, Enum, EnumSet, Ltree, Year, Interval, geometry and others. */
export function semanticCodec(type: ConnectType): ValueCodec | null {
  if (type.name === null || !Object.hasOwn(makers, type.name)) return null;
  return makers[type.name]?.(type) ?? null;
}

/** Bytes of the unscaled value. Its scale is a parameter, its precision one of Debezium's. */
function connectDecimal({ parameters }: ConnectType): ValueCodec | null {
  const told = Number(parameters.scale);
  if (!Number.isInteger(told)) return null;
  const precision = Number(parameters['connect.decimal.precision'] ?? mostDigits);
  // Postgres keeps a negative scale in eleven bits, which Debezium takes for a positive one.
  const isNegative = told >= 1024 && told < 2048;
  const scale = isNegative ? told - 2048 : told;
  const size = { precision: Math.max(precision - Math.min(scale, 0), scale), scale: Math.max(scale, 0) };
  const unscaledOf = (raw: unknown): bigint | null => {
    const bytes = bytesOf(raw);
    if (bytes === null) return null;
    const value = bigInteger(bytes);
    if (isNegative) {
      const divisor = 10n ** BigInt(told);
      return value % divisor === 0n ? value / divisor : null;
    }
    return scale < 0 ? value * 10n ** BigInt(-scale) : value;
  };
  const wanted = new NotOfType('the bytes of a decimal');
  if (size.precision > mostDigits || size.precision < 1) {
    return textCodec((raw) => {
      const unscaled = unscaledOf(raw);
      return unscaled === null ? wanted : decimalText(unscaled, size.scale);
    });
  }
  const limit = 10n ** BigInt(size.precision);
  return {
    type: { kind: 'decimal', ...size },
    decode(raw) {
      const unscaled = unscaledOf(raw);
      if (unscaled === null) return wanted;
      return unscaled < limit && unscaled > -limit ? unscaled : new OddText(decimalText(unscaled, size.scale));
    },
  };
}

/** Beyond it a decimal's text would be made of zeros alone: Postgres holds 16383 digits behind the point, 131072 before it. */
const mostScale = 200_000;

const variableDecimal = textCodec((raw) => {
  const wanted = new NotOfType('a scale and the bytes of a decimal');
  if (!isObject(raw)) return wanted;
  const scale = wholeNumber(raw.scale);
  const bytes = bytesOf(raw.value);
  if (scale === null || bytes === null || scale > mostScale || scale < -mostScale) return wanted;
  return decimalText(bigInteger(bytes), Number(scale));
});

function textCodec(decode: (raw: unknown) => Decoded): ValueCodec {
  return { type: { kind: 'string' }, decode };
}

const uuid: ValueCodec = {
  type: { kind: 'uuid' },
  decode: (raw) =>
    typeof raw === 'string' && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(raw)
      ? raw.toLowerCase()
      : new NotOfType('a UUID'),
};

/** Bits as bytes, the lowest first: a whole number where 64 hold them. */
function bits({ parameters }: ConnectType): ValueCodec | null {
  const length = Number(parameters.length);
  if (!Number.isInteger(length) || length < 1 || length > 64) return null;
  const type: FieldType = length < 64 ? { kind: 'long' } : { kind: 'decimal', precision: 20, scale: 0 };
  return {
    type,
    decode(raw) {
      const bytes = bytesOf(raw);
      const value = bytes === null ? null : BigInt(`0x0${Buffer.from(bytes).reverse().toString('hex')}`);
      return value !== null && value < 1n << BigInt(length) ? value : new NotOfType(`${length} bits as bytes`);
    },
  };
}

const days: ValueCodec = {
  type: { kind: 'date' },
  decode(raw) {
    const value = wholeNumber(raw);
    if (value === null) return new NotOfType('a number of days');
    return isDay(value) ? Number(value) : new OddText(dayText(value));
  },
};

function timeOf(nanosEach: bigint): ValueCodec {
  return {
    type: { kind: 'time' },
    decode(raw) {
      const value = wholeNumber(raw);
      if (value === null) return new NotOfType('a number of units since midnight');
      const nanos = value * nanosEach;
      return isTimeOfDay(nanos) && nanos % 1000n === 0n ? nanos / 1000n : new OddText(timeText(nanos));
    },
  };
}

/** Postgres' driver tells its infinities as these milliseconds, Debezium hands them on in whatever unit it has. */
const infinities: Readonly<Record<string, string>> = {
  '9223372036825200000': 'infinity',
  '-9223372036832400000': '-infinity',
};

function instantOf(nanosEach: bigint): ValueCodec {
  return {
    type: { kind: 'timestamp' },
    decode(raw) {
      const value = wholeNumber(raw);
      if (value === null) return new NotOfType('a number of units since 1970');
      const nanos = value * nanosEach;
      if (isInstant(nanos) && nanos % 1000n === 0n) return nanos / 1000n;
      return new OddText(infinities[String(value)] ?? instantText(nanos));
    },
  };
}

/** Texts that are not of the years 1 to 9999 with six decimals are carried as they are. */
const zonedInstant: ValueCodec = {
  type: { kind: 'timestamptz' },
  decode: (raw) =>
    typeof raw === 'string' ? (parseInstant(raw, true) ?? oddTime(raw)) : new NotOfType('a day and a time with a zone'),
};

const isoDay: ValueCodec = {
  type: { kind: 'date' },
  decode: (raw) => (typeof raw === 'string' ? (dayNumber(withoutZone(raw)) ?? oddTime(raw)) : new NotOfType('a day')),
};

const isoTime: ValueCodec = {
  type: { kind: 'time' },
  decode: (raw) =>
    typeof raw === 'string' ? (parseMicrosOfDay(withoutZone(raw)) ?? oddTime(raw)) : new NotOfType('a time'),
};

const isoInstant: ValueCodec = {
  type: { kind: 'timestamp' },
  decode: (raw) =>
    typeof raw === 'string'
      ? (parseInstant(withoutZone(raw), false) ?? oddTime(raw))
      : new NotOfType('a day and a time'),
};

/** `isostring` puts a Z behind what has no zone. */
function withoutZone(text: string): string {
  return text.endsWith('Z') ? text.slice(0, -1) : text;
}

function oddTime(text: string): OddText | NotOfType {
  return /^[-+]?(\d[\d:.,TZ +-]*|infinity)$/.test(text)
    ? new OddText(text)
    : new NotOfType('a day or a time of ISO 8601');
}
