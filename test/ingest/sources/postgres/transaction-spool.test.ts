import fs from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scratchPath } from '#catalog/scratch.ts';
import { MessageFramer } from '#ingest/sources/postgres/message-framer.ts';
import { StreamedTransactions } from '#ingest/sources/postgres/streamed-transactions.ts';
import { TransactionSpool } from '#ingest/sources/postgres/transaction-spool.ts';

const INSERT = 73;
const RELATION = 82;

/** An insert, or a description, of this subtransaction; `mark` tells it from others. */
function message(kind: number, xid: number, mark: number, length: number): Buffer {
  const bytes = Buffer.alloc(13 + length, mark & 0xff);
  bytes[0] = kind;
  bytes.writeUInt32BE(xid, 1);
  bytes.writeDoubleBE(mark, 5);
  return bytes;
}

async function contentOf(spool: TransactionSpool): Promise<Buffer[]> {
  const found: Buffer[] = [];
  const sink = {
    message: (_code: number, bytes: Buffer, start: number, end: number) => {
      found.push(Buffer.from(bytes.subarray(start, end)));
      return true;
    },
    piece: () => undefined,
  };
  const framer = new MessageFramer(sink, 1 << 30);
  for await (const chunk of spool.chunks()) framer.push(chunk);
  return found;
}

test('a spool gives back what was not rolled back, in order, however much it is', async () => {
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('append' as const),
        xid: fc.integer({ min: 1, max: 6 }),
        length: fc.constantFrom(0, 10, 5_000, 400_000, 1_500_000),
        isRelation: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('abort' as const), xid: fc.integer({ min: 2, max: 7 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('spill' as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const spool = new TransactionSpool();
      let kept: { xid: number; bytes: Buffer; arrival: number | null }[] = [];
      for (const [mark, one] of steps.entries()) {
        if (one.kind === 'append') {
          const bytes = message(one.isRelation ? RELATION : INSERT, one.xid, mark, one.length);
          const arrival = one.isRelation ? mark : null;
          spool.append(one.xid, bytes, 0, bytes.length, arrival);
          kept.push({ xid: one.xid, bytes, arrival });
        } else if (one.kind === 'abort') {
          spool.abort(one.xid);
          const first = kept.findIndex((entry) => entry.xid === one.xid);
          if (first >= 0) kept = kept.slice(0, first);
        } else {
          spool.spill();
        }
        expect(spool.memoryBytes).toBeLessThanOrEqual(1 << 20);
      }
      const content = await contentOf(spool);
      expect(content.length).toBe(kept.length);
      for (const [index, entry] of kept.entries()) expect(content[index]?.equals(entry.bytes)).toBe(true);
      expect(spool.arrivals).toEqual(kept.flatMap((entry) => (entry.arrival === null ? [] : [entry.arrival])));
      expect(spool.xids).toEqual([...new Set(kept.map((entry) => entry.xid))]);
      spool.discard();
    }),
    { numRuns: 60 },
  );
});

test('many transactions under way at once stay within their memory, and leave no file behind', async () => {
  const folder = scratchPath('').replace(/\d+$/, '');
  const files = () => fs.readdirSync(folder).filter((name) => name.endsWith('.transaction')).length;
  const before = files();
  const streams = new StreamedTransactions();
  for (let round = 0; round < 3; round++) {
    for (let xid = 1; xid <= 40; xid++) {
      streams.start(xid, round === 0);
      const bytes = message(INSERT, xid, round, 300_000);
      streams.append(bytes, 0, bytes.length, () => 0);
      streams.stop();
      expect(streams.memoryBytes).toBeLessThanOrEqual(9 << 20);
    }
  }
  expect(files()).toBeGreaterThan(before);
  const one = streams.take(7);
  expect((await contentOf(one)).map((bytes) => bytes.readDoubleBE(5))).toEqual([0, 1, 2]);
  one.discard();
  streams.abort(8, 8);
  streams.discard();
  expect(files()).toBe(before);
});

test('what is out of order is refused', () => {
  const streams = new StreamedTransactions();
  const bytes = message(INSERT, 1, 0, 10);
  expect(() => streams.append(bytes, 0, bytes.length, () => 0)).toThrow(/not of its own form/);
  expect(() => streams.start(1, false)).toThrow(/out of order/);
  streams.start(1, true);
  expect(() => streams.start(2, true)).toThrow(/out of order/);
  expect(() => streams.take(1)).toThrow(/out of order/);
  expect(() => streams.abort(1, 1)).toThrow(/out of order/);
  streams.stop();
  expect(() => streams.start(1, true)).toThrow(/out of order/);
  expect(() => streams.stop()).toThrow(/out of order/);
  expect(() => streams.take(2)).toThrow(/out of order/);
  streams.discard();
});

test('a roll-back of what was never told is nothing', () => {
  const streams = new StreamedTransactions();
  streams.abort(2, 3);
  streams.abort(2, 2);
  const bytes = message(INSERT, 1, 0, 10);
  streams.start(1, true);
  streams.append(bytes, 0, bytes.length, () => 0);
  streams.stop();
  streams.abort(1, 3);
  expect(streams.take(1).xids).toEqual([1]);
});
