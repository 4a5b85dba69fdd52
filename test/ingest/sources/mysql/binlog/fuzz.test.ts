import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DailiesError } from '#catalog/error.ts';
import type { BinlogItem, Flavor } from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { decode } from './decode-events.ts';
import {
  bytes,
  type Column,
  event,
  formatDescription,
  gtid,
  image,
  insertRows,
  query,
  rowsEvent,
  tableMap,
  taggedGtid,
  updateRows,
  xid,
} from './encode.ts';
import { encodeDiffs, encodeJson } from './encode-json.ts';

/** With each kind of event and of column at least once. */
function history(isChecksummed: boolean): Buffer[] {
  const columns: Column[] = [
    { name: 'id', type: 3 },
    { name: 'big', type: 8, isUnsigned: true },
    { name: 'price', type: 246, beside: Buffer.from([20, 5]) },
    { name: 'name', type: 15, beside: bytes.u16(400) },
    { name: 'old', type: 254, beside: Buffer.from([0xfe, 20]), collation: 28 },
    { name: 'doc', type: 245, beside: Buffer.from([4]) },
    { name: 'at', type: 18, beside: Buffer.from([6]) },
    { name: 'for', type: 19, beside: Buffer.from([3]) },
    { name: 'one', type: 254, beside: Buffer.from([247, 1]), labels: ['a', 'b'] },
    { name: 'some', type: 254, beside: Buffer.from([248, 8]), labels: ['a', 'b'] },
    { name: 'raw', type: 252, beside: Buffer.from([2]), collation: 63 },
    { name: 'flags', type: 16, beside: Buffer.from([1, 2]) },
  ];
  const doc = encodeJson({ a: [1n, 2.5, 'x', null], b: { c: -5n } });
  const row = [
    bytes.u32(7),
    bytes.u64(9n),
    Buffer.from('8000000000000001000002', 'hex').subarray(0, 10),
    Buffer.concat([bytes.u16(4), Buffer.from('name')]),
    bytes.text('gbk'),
    Buffer.concat([bytes.u32(doc.length), doc]),
    Buffer.from('99b23ccb380001e2', 'hex'),
    Buffer.from('80b38b04d2', 'hex'),
    bytes.u8(1),
    bytes.u64(3n),
    Buffer.concat([bytes.u16(3), Buffer.from('raw')]),
    Buffer.from([1, 2, 3]),
  ];
  const without = [bytes.u32(8), ...columns.slice(1).map(() => null)];
  const diffs = encodeDiffs([
    [0, '$.a[1]', 3n],
    [2, '$.b'],
  ]);
  const all = columns.map(() => true);
  const partial = rowsEvent(39, 70, [
    bytes.u16(2),
    bytes.length(columns.length),
    bytes.bits(all),
    bytes.bits(all),
    image(row),
    bytes.length(1),
    bytes.bits([true]),
    image(row.map((value, index) => (index === 5 ? diffs : value))),
  ]);
  const made = [
    event(4, [bytes.u64(4n), Buffer.from('binlog.000001')], { flags: 0x20, endPosition: 0 }),
    gtid(1n),
    query('CREATE TABLE wide (id int)'),
    taggedGtid(2n, 'tag', { here: 1n }),
    query('BEGIN'),
    tableMap(70, 'wide', columns, { key: [0] }),
    insertRows(70, [row, without]),
    updateRows(70, [
      [row, without],
      [without, row],
    ]),
    partial,
    xid(),
    gtid(3n),
    query("XA START X'61',X'',1"),
    tableMap(70, 'wide', columns, { key: [0] }),
    insertRows(70, [row]),
    query("XA END X'61',X'',1"),
    event(38, [bytes.u8(0), bytes.u32(1), bytes.u32(1), bytes.u32(0), Buffer.from('a')]),
  ];
  if (isChecksummed) return [formatDescription(), ...made];
  const bare = made.map((one) => {
    const cut = Buffer.from(one.subarray(0, -4));
    cut.writeUInt32LE(cut.length, 9);
    return cut;
  });
  return [formatDescription(false), ...bare];
}

describe('bytes that were changed', () => {
  it('the history itself is read', async () => {
    for (const isChecksummed of [true, false]) {
      const items = await decode(history(isChecksummed));
      expect(items.map(({ kind }) => kind)).toEqual([
        'begin',
        'query',
        'commit',
        'begin',
        'rows',
        'rows',
        'rows',
        'commit',
        'begin',
        'rows',
        'prepare',
      ]);
    }
  });

  it('under checksums never give an event that was not there', async () => {
    const events = history(true);
    const whole = await decode(events);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(events.length - 1),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (which, place, change, isCut) => {
          const broken = events.map((one) => Buffer.from(one));
          const hit = broken[which] ?? Buffer.alloc(1);
          const at = place % hit.length;
          if (isCut) broken[which] = hit.subarray(0, at);
          else hit[at] = (hit[at] ?? 0) ^ change;
          const items: BinlogItem[] = [];
          try {
            items.push(...(await decode(broken)));
          } catch (error) {
            expect(error).toBeInstanceOf(DailiesError);
            return;
          }
          // Only a log's name of a made-up event may differ then: it has no checksum to be found wrong by.
          const told = items.filter(({ kind }) => kind === 'rows');
          expect(told).toEqual(whole.filter(({ kind }) => kind === 'rows'));
        },
      ),
      { numRuns: 1_500 },
    );
  });

  it('under checksums never pass for an event of another type', async () => {
    const events = history(true);
    const whole = await decode(events);
    for (const [which, real] of events.entries()) {
      for (let type = 0; type < 256; type++) {
        const broken = [...events];
        broken[which] = Buffer.from(real);
        broken[which].writeUInt8(type, 4);
        const items = await decode(broken).catch((error) => {
          expect(error).toBeInstanceOf(DailiesError);
          return whole;
        });
        expect(items, `event ${which} as of type ${type}`).toEqual(whole);
      }
    }
  });

  it.each(['mysql', 'mariadb'] as const)(
    'without checksums (%s) end in an error of ours or in some event, never otherwise, and soon',
    async (flavor) => {
      const events = history(false);
      await fc.assert(
        fc.asyncProperty(
          fc.nat(events.length - 2),
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
          fc.nat(40),
          async (which, changes, cut) => {
            const broken = events.map((one) => Buffer.from(one));
            const place = which + 1;
            let hit = broken[place] ?? Buffer.alloc(30);
            for (const [at, value] of changes) hit[19 + (at % (hit.length - 19))] = value;
            if (cut < 20) hit = hit.subarray(0, Math.max(19, hit.length - cut));
            hit.writeUInt32LE(hit.length, 9);
            broken[place] = hit;
            const began = performance.now();
            try {
              await decode(broken, '', flavor);
            } catch (error) {
              expect(error).toBeInstanceOf(DailiesError);
            }
            expect(performance.now() - began).toBeLessThan(60_000);
          },
        ),
        { numRuns: 2_000 },
      );
    },
  );

  it('of no kind at all are refused as such', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(255),
        fc.constantFrom<Flavor>('mysql', 'mariadb'),
        async (body, type, flavor) => {
          const made = event(type, Buffer.from(body), { isChecksummed: false });
          try {
            await decode([formatDescription(false), made], '', flavor);
          } catch (error) {
            expect(error).toBeInstanceOf(DailiesError);
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
