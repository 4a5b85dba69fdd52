import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DailiesError } from '#catalog/error.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { avroReader } from '#ingest/sources/kafka/avro-reader.ts';
import { BadSchema } from '#ingest/sources/kafka/connect-type.ts';
import { openEnvelope } from '#ingest/sources/kafka/envelope.ts';
import { KafkaMemory } from '#ingest/sources/kafka/kafka-memory.ts';
import { MessageDecoder } from '#ingest/sources/kafka/message-decoder.ts';
import { parseOffsets } from '#ingest/sources/kafka/positions.ts';
import { parseRecordLine } from '#ingest/sources/kafka/recorded-record.ts';
import { recordedSchemas } from '#ingest/sources/kafka/schema-registry.ts';
import { TopicTable } from '#ingest/sources/kafka/topic-table.ts';
import { UnavailableValue } from '#ingest/sources/kafka/unavailable-value.ts';
import { recordings } from './topics.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const place = { topic: 'pf.public.matrix', partition: 0, offset: 7 };
const { signal } = new AbortController();

interface Sample {
  name: string;
  key: Buffer | null;
  value: Buffer;
}

/** Every record with a value of the recordings. */
function samples(recording: string): Sample[] {
  const folder = path.join(recordings, recording);
  return fs
    .readdirSync(folder)
    .filter((file) => /\.(matrix|toast|bag)-0\.ndjson$/.test(file))
    .flatMap((file) =>
      fs
        .readFileSync(path.join(folder, file), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((text, offset) => ({ ...parseRecordLine(Buffer.from(text), { ...place, byte: offset }), file })),
    )
    .flatMap(({ key, value, file }) =>
      value === null ? [] : [{ name: file, key: key && Buffer.from(key), value: Buffer.from(value) }],
    );
}

async function decode(recording: string, { key, value }: Pick<Sample, 'key' | 'value'>): Promise<unknown> {
  const decoder = new MessageDecoder(recordedSchemas(path.join(recordings, recording, 'schemas')));
  const table = new TopicTable('public.matrix', {
    source: 's',
    memory: new KafkaMemory(await passingMemory().read()),
    unavailable: new UnavailableValue('__debezium_unavailable_value'),
  });
  await decoder.prepare([key, value], signal);
  const opened = openEnvelope(decoder.decode(value, { ...place, part: 'value' }, true));
  if (opened.kind !== 'change') return opened.kind;
  const row = table.change(opened.envelope, key && decoder.decode(key, { ...place, part: 'key' }), place);
  for (const part of [row.event.before, row.event.after]) {
    if (part !== null) expect(part).toHaveLength(row.schema.fields.length);
  }
  return row;
}

/** True for the errors that a source may end with: of its own, and naming nothing of the value. */
function isTold(thrown: unknown): boolean {
  return thrown instanceof DailiesError && ['value_unsupported', 'source_not_ready'].includes(thrown.code);
}

const spoiled = (bytes: Buffer) =>
  fc
    .array(
      fc.record({
        at: fc.nat({ max: Math.max(0, bytes.length - 1) }),
        how: fc.constantFrom('flip', 'cut', 'drop', 'double', 'number'),
        byte: fc.nat({ max: 255 }),
      }),
      { minLength: 1, maxLength: 4 },
    )
    .map((edits) =>
      edits.reduce<Buffer>((held, { at, how, byte }) => {
        const part = Math.min(at, held.length);
        if (how === 'cut') return held.subarray(0, part);
        if (how === 'drop') return Buffer.concat([held.subarray(0, part), held.subarray(part + 1)]);
        if (how === 'double') return Buffer.concat([held.subarray(0, part), held.subarray(Math.max(0, part - 9))]);
        const copy = Buffer.from(held);
        if (part < copy.length) copy[part] = how === 'number' ? 0x30 + (byte % 10) : byte;
        return copy;
      }, bytes),
    );

test.each(['postgres-json-schemas', 'postgres-json', 'postgres-avro', 'mariadb-json-schemas', 'mariadb-avro'])(
  'spoiled bytes of %s are decoded or refused, never anything else',
  async (recording) => {
    const whole = samples(recording);
    expect(whole.length).toBeGreaterThan(5);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...whole).chain((sample) => fc.tuple(fc.constant(sample), spoiled(sample.value))),
        async ([sample, value]) => {
          try {
            await decode(recording, { key: sample.key, value });
          } catch (thrown) {
            if (!isTold(thrown)) throw thrown;
            refused += 1;
          }
        },
      ),
      { seed, numRuns: 400 },
    );
    expect(refused, `SEED=${seed}`).toBeGreaterThan(0);
  },
  120_000,
);

test('an Avro record is decoded wholly or not at all: no cut of it is another record', async () => {
  for (const sample of samples('postgres-avro')) {
    await decode('postgres-avro', sample);
    const cuts = [5, 6, sample.value.length >> 1, sample.value.length - 1];
    for (const at of cuts) {
      const cut = { key: sample.key, value: sample.value.subarray(0, at) };
      await expect(decode('postgres-avro', cut), `${sample.name} ${at}`).rejects.toMatchObject({
        code: 'value_unsupported',
      });
    }
    const longer = { key: sample.key, value: Buffer.concat([sample.value, Buffer.of(0)]) };
    await expect(decode('postgres-avro', longer)).rejects.toMatchObject({ code: 'value_unsupported' });
  }
});

test('what the same rows are told in JSON and in Avro is the same', async () => {
  const rows = async (recording: string) => {
    const decoded: unknown[] = [];
    for (const sample of samples(recording)) {
      const row = (await decode(recording, sample)) as { event: unknown };
      decoded.push(row.event);
    }
    return decoded;
  };
  expect(await rows('postgres-avro')).toEqual(await rows('postgres-json-schemas'));
  expect(await rows('mariadb-avro')).toEqual(await rows('mariadb-json-schemas'));
});

test('numbers of Avro of any size are exact', () => {
  const reader = avroReader('"long"');
  if (reader instanceof BadSchema) throw new Error(reader.reason);
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
      const bytes: number[] = [];
      while (rest > 0x7fn) {
        bytes.push(Number(rest & 0x7fn) | 0x80);
        rest >>= 7n;
      }
      bytes.push(Number(rest));
      expect(reader.read(Buffer.from(bytes), 0)).toBe(value);
    }),
    { seed },
  );
  expect(() => reader.read(Buffer.alloc(11, 0xff), 0)).toThrow(RangeError);
});

test('schemas, lines and positions of any kind are read or refused', () => {
  const json = fc.json({ maxDepth: 4 });
  fc.assert(
    fc.property(json, (text) => {
      avroReader(text);
    }),
    { seed },
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), json), (text) => {
      for (const read of [() => parseRecordLine(Buffer.from(text), { ...place, byte: 0 }), () => parseOffsets(text)]) {
        try {
          read();
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(DailiesError);
        }
      }
    }),
    { seed },
  );
});
