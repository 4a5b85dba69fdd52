import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decode, id, long, rotate, short, start, title } from './decode-events.ts';
import {
  bytes,
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
  uuid,
  xid,
} from './encode.ts';
import { endsOf, queriesOf, rowsOf } from './reader.ts';

describe("MySQL's events, as its sources document them", () => {
  it('a transaction: id, BEGIN, table, rows, XID', async () => {
    const items = await decode(
      [
        ...start,
        event(35, [bytes.u64(0n)]),
        gtid(7n, { here: 1_700_000_001_000_000n, first: 1_700_000_000_123_456n }),
        query('BEGIN'),
        event(29, Buffer.from('\x05INSERT')),
        tableMap(90, 'movie', [id, title], { key: [0] }),
        insertRows(
          90,
          [
            [long(1), short('One')],
            [long(2), null],
          ],
          Buffer.from([1, 2, 3]),
        ),
        updateRows(90, [
          [
            [long(1), short('One')],
            [long(1), short('Eins')],
          ],
        ]),
        rowsEvent(32, 90, [bytes.u16(2), bytes.length(2), bytes.bits([true, true]), image([long(2), null])]),
        xid(),
      ],
      `${uuid}:1-6`,
    );
    expect(items.map(({ kind }) => kind)).toEqual(['begin', 'rows', 'rows', 'rows', 'commit']);
    expect(items[0]).toMatchObject({ gtid: `${uuid}:7`, timeMicros: 1_700_000_000_123_456n, log: 'binlog.000007' });
    expect(rowsOf(items).map(({ op, rows }) => ({ op, rows }))).toEqual([
      {
        op: 'insert',
        rows: [
          { before: null, after: [1, 'One'] },
          { before: null, after: [2, null] },
        ],
      },
      { op: 'update', rows: [{ before: [1, 'One'], after: [1, 'Eins'] }] },
      { op: 'delete', rows: [{ before: [2, null], after: null }] },
    ]);
    expect(endsOf(items)[0]).toMatchObject({ kind: 'commit', position: `${uuid}:1-7` });
  });

  it('DDL is a transaction of one statement; a client in latin1 is understood', async () => {
    const variables = Buffer.concat([
      bytes.u8(0),
      bytes.u32(0),
      bytes.u8(1),
      bytes.u64(4n),
      bytes.u8(6),
      bytes.text('std'),
      bytes.u8(4),
      bytes.u16(8),
      bytes.u16(8),
      bytes.u16(8),
      bytes.u8(99),
    ]);
    const sql = Buffer.from("ALTER TABLE t COMMENT 'caf\u00e9'", 'latin1').toString('latin1');
    const items = await decode([
      ...start,
      gtid(1n),
      query('x', 'shop', variables),
      gtid(2n),
      eventOfQuery(sql, variables),
    ]);
    expect(items.map(({ kind }) => kind)).toEqual(['begin', 'query', 'commit', 'begin', 'query', 'commit']);
    expect(queriesOf(items)[1]).toMatchObject({
      sql: "ALTER TABLE t COMMENT 'caf\u00e9'",
      sqlMode: 4n,
      database: 'shop',
    });
  });

  it("tags of 8.4's transactions are part of their ids", async () => {
    const items = await decode(
      [
        ...start,
        taggedGtid(5n, 'import', { here: 1_700_000_001_000_000n }),
        query('CREATE TABLE a (n int)'),
        taggedGtid(300n, 'import', { here: 1_700_000_002_000_000n, first: 1_600_000_000_000_001n }),
        query('CREATE TABLE b (n int)'),
        gtid(4n),
        query('CREATE TABLE c (n int)'),
      ],
      `${uuid}:1-3:import:1-4`,
    );
    expect(items[0]).toMatchObject({ gtid: `${uuid}:import:5`, timeMicros: 1_700_000_001_000_000n });
    expect(items[3]).toMatchObject({ gtid: `${uuid}:import:300`, timeMicros: 1_600_000_000_000_001n });
    expect(endsOf(items).at(-1)?.position).toBe(`${uuid}:1-4:import:1-5:300`);
  });

  it('a compressed transaction is unpacked event by event', async () => {
    const plain = (made: Buffer) => {
      const bare = Buffer.from(made.subarray(0, -4));
      bare.writeUInt32LE(bare.length, 9);
      return bare;
    };
    const many = Array.from({ length: 400 }, (_, n) => plain(insertRows(90, [[long(n), short('x'.repeat(n % 70))]])));
    const inner = Buffer.concat([
      plain(query('BEGIN')),
      plain(tableMap(90, 'movie', [id, title])),
      ...many,
      plain(xid()),
    ]);
    for (const isCompressed of [true, false]) {
      const packed = (payload: Buffer) => {
        const head = [1, payload.length, 2, isCompressed ? 0 : 255, 3, inner.length];
        const fields: Buffer[] = [];
        for (let at = 0; at < head.length; at += 2) {
          fields.push(bytes.length(head[at] ?? 0), bytes.text(bytes.length(head[at + 1] ?? 0)));
        }
        return event(40, [...fields, bytes.length(0), payload]);
      };
      const payload = isCompressed ? zstdCompressSync(inner) : inner;
      const items = await decode([...start, gtid(1n), packed(payload)]);
      expect(rowsOf(items).map(({ rows }) => rows[0]?.after?.[0])).toEqual([...Array(400).keys()]);
      expect(items.at(-1)).toMatchObject({ kind: 'commit', position: `${uuid}:1` });
      const cut = packed(payload.subarray(0, -9));
      await expect(decode([...start, gtid(1n), cut])).rejects.toMatchObject({ code: 'source_protocol' });
    }
  });

  it('XA transactions: prepared, ended later, and in one phase', async () => {
    const prepare = (isOnePhase: boolean) =>
      event(38, [bytes.u8(isOnePhase ? 1 : 0), bytes.u32(7), bytes.u32(2), bytes.u32(1), Buffer.from('abc')]);
    const rows = [tableMap(90, 'movie', [id]), insertRows(90, [[long(1)]])];
    const items = await decode([
      ...start,
      gtid(1n),
      query("XA START X'6162',X'63',7"),
      ...rows,
      query("XA END X'6162',X'63',7"),
      prepare(false),
      gtid(2n),
      query("XA ROLLBACK X'6162',X'63',7"),
      gtid(3n),
      query("XA START X'6162',X'63',7"),
      ...rows,
      query("XA END X'6162',X'63',7"),
      prepare(true),
    ]);
    const name = "X'6162',X'63',7";
    expect(endsOf(items).map(({ kind, xid: prepared, xa }) => ({ kind, prepared, xa }))).toEqual([
      { kind: 'prepare', prepared: name, xa: null },
      { kind: 'rollback', prepared: null, xa: { xid: name, outcome: 'rollback' } },
      { kind: 'commit', prepared: null, xa: null },
    ]);
  });

  it('checksums are verified, of logs with and without them, and of what is made for us between two such logs', async () => {
    const good = gtid(1n);
    const bad = Buffer.from(good);
    bad[30] = (bad[30] ?? 0) ^ 1;
    await expect(decode([...start, bad])).rejects.toMatchObject({
      code: 'source_protocol',
      message: expect.stringContaining('checksum'),
    });
    const wrongHead = Buffer.from(formatDescription());
    wrongHead[40] = 65;
    await expect(decode([wrongHead])).rejects.toMatchObject({ code: 'source_protocol' });
    const bare = (made: Buffer) => {
      const cut = Buffer.from(made.subarray(0, -4));
      cut.writeUInt32LE(cut.length, 9);
      return cut;
    };
    const heartbeat = event(27, Buffer.from('binlog.000008'), { endPosition: 500 });
    const items = await decode([
      ...start,
      gtid(1n),
      query('CREATE TABLE a (n int)'),
      rotate('binlog.000008'),
      formatDescription(false, 1),
      bare(gtid(2n)),
      bare(query('CREATE TABLE b (n int)')),
      heartbeat,
      bare(heartbeat),
    ]);
    expect(items.slice(-3)).toMatchObject([
      { kind: 'commit', position: `${uuid}:1-2`, log: 'binlog.000008' },
      { kind: 'idle', position: `${uuid}:1-2`, log: 'binlog.000008' },
      { kind: 'idle' },
    ]);
  });

  it('unknown events are passed over if they may be, refused by name if not', async () => {
    const ok = await decode([...start, event(99, Buffer.from('x'), { flags: 0x80 }), gtid(1n), query('DROP TABLE t')]);
    expect(ok).toHaveLength(3);
    await expect(decode([...start, event(99, Buffer.from('x'))])).rejects.toMatchObject({
      code: 'source_protocol',
      message: expect.stringContaining('type 99'),
    });
    await expect(decode([...start, event(34, gtid(1n).subarray(19, -4))])).rejects.toMatchObject({
      code: 'source_not_ready',
      message: expect.stringContaining('SET GLOBAL gtid_mode = ON'),
    });
    await expect(decode([...start, event(26, [bytes.u16(1), bytes.text('lost')])])).rejects.toMatchObject({
      code: 'source_slot_lost',
    });
    await expect(decode([...start, event(164, Buffer.alloc(17))])).rejects.toMatchObject({
      message: expect.stringContaining('startEncryption'),
    });
    await expect(decode([...start, gtid(1n), gtid(2n)])).rejects.toMatchObject({ code: 'source_protocol' });
    await expect(decode([...start, insertRows(90, [[long(1)]])])).rejects.toMatchObject({ code: 'source_protocol' });
    const rolledBackTo = [gtid(1n), query('BEGIN'), query('SAVEPOINT `a`'), query('ROLLBACK TO `a`')];
    const told = await decode([...start, ...rolledBackTo]);
    expect(told.at(-1)).toMatchObject({ kind: 'query', sql: 'ROLLBACK TO `a`' });
  });

  it("the rows' end of a statement without a table, LOAD DATA as text, rollbacks", async () => {
    const load = event(18, [
      bytes.u32(1),
      bytes.u32(0),
      bytes.u8(4),
      bytes.u16(0),
      bytes.u16(0),
      bytes.u32(1),
      bytes.u32(0),
      bytes.u32(0),
      bytes.u8(0),
      Buffer.from('shop\0LOAD DATA INFILE …'),
    ]);
    const items = await decode([
      ...start,
      gtid(1n),
      query('BEGIN'),
      rowsEvent(30, 0xffffffffffff, [bytes.u16(2), bytes.length(1), bytes.bits([true])]),
      load,
      query('ROLLBACK'),
    ]);
    expect(items.map(({ kind }) => kind)).toEqual(['begin', 'query', 'rollback']);
    expect(queriesOf(items)[0]?.sql).toBe('LOAD DATA INFILE …');
  });

  it('a transaction that a crash has cut is rolled back where the next log begins, and its id may come again', async () => {
    const rows = [query('BEGIN'), tableMap(90, 'movie', [id]), insertRows(90, [[long(1)]])];
    const items = await decode([
      ...start,
      gtid(1n),
      ...rows,
      rotate('binlog.000008'),
      formatDescription(),
      gtid(1n),
      ...rows,
      xid(),
    ]);
    expect(endsOf(items)).toMatchObject([
      { kind: 'rollback', gtid: `${uuid}:1`, position: '' },
      { kind: 'commit', gtid: `${uuid}:1`, position: `${uuid}:1` },
    ]);
  });

  it('places are counted on where the events’ own field wraps', async () => {
    const at = (made: Buffer, endPosition: number) => {
      const moved = made.subarray(19, -4);
      return event(made.readUInt8(4), moved, { endPosition });
    };
    const items = await decode([
      event(4, [bytes.u64(4_000_000_000n), Buffer.from('binlog.000001')], { flags: 0x20, endPosition: 0 }),
      formatDescription(),
      at(gtid(1n), 4_294_000_000),
      at(query('DROP TABLE a'), 1_000_000),
      at(gtid(2n), 2_000_000),
      at(query('DROP TABLE b'), 3_000_000),
    ]);
    expect(endsOf(items).map(({ logPosition }) => logPosition)).toEqual([2 ** 32 + 1_000_000, 2 ** 32 + 3_000_000]);
  });
});

function eventOfQuery(sql: string, variables: Buffer): Buffer {
  return event(2, [
    bytes.u32(1),
    bytes.u32(0),
    bytes.u8(4),
    bytes.u16(0),
    bytes.u16(variables.length),
    variables,
    Buffer.from('shop\0'),
    Buffer.from(sql, 'latin1'),
  ]);
}
