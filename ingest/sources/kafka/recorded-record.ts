import { DailiesError } from '#catalog/error.ts';
import type { TopicRecord } from './topic-reader.ts';

/*
 * A line of a recorded topic, JSON as `kcat -C -J` prints it:
 *
 *   {"topic": "pf.public.movie", "partition": 0, "offset": 7, "ts": 1700000000000, "headers": ["name", "value"],
 *    "key": "{\"id\":1}", "payload": "{\"before\":null, …}"}
 *
 * `value` stands for `payload` as well, `timestamp` for `ts`; bytes that are no text come as Base64 in `keyBase64` and
 * `payloadBase64` (`valueBase64`). Everything but `offset` may be left out; other members are read over.
 */

export interface LinePlace {
  topic: string;
  partition: number;
  /** Where the line begins in its file. */
  byte: number;
}

/** The record of one line, without its line end. Throws `value_unsupported` for what is no such line; nothing of it is told. */
export function parseRecordLine(line: Buffer, place: LinePlace): TopicRecord {
  let json: unknown;
  try {
    json = JSON.parse(line.toString());
  } catch {
    throw badLine(place, 'is not JSON');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw badLine(place, 'is not a JSON object');
  const members = json as Record<string, unknown>;
  const { offset } = members;
  if (typeof offset !== 'number' || !Number.isSafeInteger(offset) || offset < 0)
    throw badLine(place, 'has no "offset" that is a whole number');
  const timestamp = members.ts ?? members.timestamp ?? null;
  if (timestamp !== null && !Number.isSafeInteger(timestamp))
    throw badLine(place, 'has a "ts" that is no milliseconds since 1970');
  return {
    offset,
    timestampMs: timestamp as number | null,
    key: bytesOf(members, ['key'], place),
    value: bytesOf(members, ['payload', 'value'], place),
    headers: headerNames(members.headers, place),
    bytes: line.length + 1,
  };
}

function bytesOf(members: Record<string, unknown>, names: readonly string[], place: LinePlace): Uint8Array | null {
  for (const name of names) {
    const base64 = members[`${name}Base64`];
    if (typeof base64 === 'string') return fromBase64(base64, name, place);
    const text = members[name];
    if (typeof text === 'string') return Buffer.from(text);
    if ((base64 ?? text ?? null) !== null) throw badLine(place, `has a "${name}" that is neither a text nor null`);
  }
  return null;
}

function fromBase64(text: string, name: string, place: LinePlace): Uint8Array {
  const isBase64 = text.length % 4 === 0 && /^[A-Za-z\d+/]*={0,2}$/.test(text);
  if (!isBase64) throw badLine(place, `has a "${name}Base64" that is not Base64`);
  return Buffer.from(text, 'base64');
}

/** kcat lists name, value, name, value; others have an object, or a list of pairs or objects. */
function headerNames(headers: unknown, place: LinePlace): string[] {
  if (headers === undefined || headers === null) return [];
  if (Array.isArray(headers)) {
    if (headers.every((entry) => typeof entry === 'string' || entry === null))
      return headers.filter((_, index) => index % 2 === 0).map(String);
    return headers.flatMap((entry: unknown) => {
      if (Array.isArray(entry)) return [String(entry[0])];
      if (typeof entry !== 'object' || entry === null) return [];
      return 'key' in entry ? [String(entry.key)] : Object.keys(entry);
    });
  }
  if (typeof headers === 'object') return Object.keys(headers);
  throw badLine(place, 'has "headers" that are neither a list nor an object');
}

function badLine({ topic, partition, byte }: LinePlace, what: string): DailiesError {
  return new DailiesError(
    'value_unsupported',
    `The record of ${topic}, partition ${partition}, that begins at byte ${byte} of its file ${what}.`,
    { details: { topic, partition, byte } },
  );
}
