import { describe, expect, it } from 'vitest';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import { decode, id, long, short, start } from './decode-events.ts';
import { bytes, type Column, gtid, image, insertRows, query, rowsEvent, tableMap, xid } from './encode.ts';
import { encodeDiffs, encodeJson } from './encode-json.ts';
import { rowsOf } from './reader.ts';

describe("MySQL's tables and rows, as its sources document them", () => {
  it('metadata of every kind: signs, character sets either way, labels, keys with prefixes, visibility', async () => {
    const columns: Column[] = [
      { name: 'a', type: 8, isUnsigned: true },
      { name: 'b', type: 1 },
      { name: 'c', type: 246, beside: Buffer.from([10, 2]), isUnsigned: true },
      { name: 'd', type: 254, beside: Buffer.from([0xfe, 20]), collation: 8 },
      { name: 'e', type: 254, beside: Buffer.from([0xee, 144]), collation: 63 },
      { name: 'f', type: 252, beside: Buffer.from([2]) },
      { name: 'g', type: 252, beside: Buffer.from([3]), collation: 63 },
      { name: 'h', type: 254, beside: Buffer.from([247, 1]), labels: ['x', 'y,z'] },
      { name: 'i', type: 254, beside: Buffer.from([248, 2]), labels: ['p'], collation: 8 },
      { name: 'j', type: 255, beside: Buffer.from([4]), geometryType: 3 },
      { name: 'k', type: 242, beside: Buffer.from([4]), collation: 63 },
      { name: 'l', type: 245, beside: Buffer.from([4]), isHidden: true },
      { name: 'n', type: 20, beside: Buffer.from([15, 0x90, 1, 0]), isHidden: true },
      { name: 'm', type: 16, beside: Buffer.from([3, 1]), isNullable: false },
    ];
    const polygon = Buffer.from('000000000101', 'hex');
    const vector = Buffer.from('0000803f', 'hex');
    const values = [
      bytes.u64(2n ** 64n - 1n),
      Buffer.from([0xff]),
      Buffer.from('8000000000', 'hex'),
      short('\xe9'.replace('\xe9', '')),
      Buffer.concat([bytes.u16(2), Buffer.from([1, 2])]),
      Buffer.concat([bytes.u16(3), Buffer.from('abc')]),
      Buffer.concat([bytes.u24(1), Buffer.from([0xff])]),
      bytes.u8(2),
      bytes.u16(1),
      Buffer.concat([bytes.u32(polygon.length), polygon]),
      Buffer.concat([bytes.u32(vector.length), vector]),
      Buffer.concat([bytes.u32(2), encodeJson(true)]),
      Buffer.concat([bytes.u32(encodeJson(['a']).length), encodeJson(['a'])]),
      Buffer.from([0x05, 0x01]),
    ];
    for (const isOneByOne of [false, true]) {
      const map = tableMap(5, 'wide', columns, { key: [5, 0], prefixes: [10, 0], isOneByOne });
      const [rows] = rowsOf(await decode([...start, gtid(1n), query('BEGIN'), map, insertRows(5, [values]), xid()]));
      expect(rows?.table.columns.map(({ type }) => type)).toEqual([
        { kind: 'integer', bytes: 8, isUnsigned: true },
        { kind: 'integer', bytes: 1, isUnsigned: false },
        { kind: 'decimal', precision: 10, scale: 2, isUnsigned: true },
        { kind: 'text', charset: 'latin1', maxBytes: 20, isFixed: true },
        { kind: 'bytes', maxBytes: 400, isFixed: true },
        { kind: 'text', charset: 'utf8mb4', maxBytes: 65_535, isFixed: false },
        { kind: 'bytes', maxBytes: 16_777_215, isFixed: false },
        { kind: 'enum', labels: ['x', 'y,z'] },
        { kind: 'set', labels: ['p'] },
        { kind: 'geometry', geometryType: 3 },
        { kind: 'vector' },
        { kind: 'json' },
        { kind: 'json' },
        { kind: 'bit', bits: 11 },
      ]);
      expect(rows?.table.columns.filter(({ isVisible }) => !isVisible).map(({ name }) => name)).toEqual(['l', 'n']);
      expect(rows?.table.columns.filter(({ isNullable }) => !isNullable).map(({ name }) => name)).toEqual(['m']);
      expect(rows?.table).toMatchObject({ key: [5, 0], keyPrefixes: [10, 0] });
      const binary = Buffer.alloc(400);
      binary[0] = 1;
      binary[1] = 2;
      expect(rows?.rows[0]?.after).toEqual([
        2n ** 64n - 1n,
        -1,
        0n,
        '',
        binary,
        'abc',
        Buffer.from([0xff]),
        2,
        1n,
        polygon,
        vector,
        'true',
        '["a"]',
        0x501n,
      ]);
    }
    const bare = tableMap(5, 'wide', columns, { isBare: true });
    await expect(decode([...start, gtid(1n), query('BEGIN'), bare])).rejects.toMatchObject({
      code: 'source_not_ready',
    });
  });

  it('partial updates of JSON are told as the whole document after them', async () => {
    const json: Column = { name: 'doc', type: 245, beside: Buffer.from([4]) };
    const other: Column = { name: 'more', type: 245, beside: Buffer.from([4]) };
    const doc = { list: [1n, 'two', { 'a b': null }], name: 'x', é: 2.5 };
    const whole = encodeJson(doc);
    const stored = Buffer.concat([bytes.u32(whole.length), whole]);
    const more = Buffer.concat([bytes.u32(encodeJson([]).length), encodeJson([])]);
    const diffs = encodeDiffs([
      [0, '$.name', 'y"z'],
      [1, '$.list[1]', 10n ** 17n],
      [0, '$.list[3]."a b"', [true]],
      [2, '$."é"'],
      [1, '$.b', {}],
      [1, '$.list[99]', 'last'],
    ]);
    const partial = rowsEvent(39, 90, [
      bytes.u16(2),
      bytes.length(3),
      bytes.bits([true, true, true]),
      bytes.bits([true, true, true]),
      // Before, options, which of the two documents are partial, after.
      image([long(1), stored, more]),
      bytes.length(1),
      bytes.bits([true, false]),
      image([long(1), diffs, more]),
      // A second row, told in full.
      image([long(2), stored, null]),
      bytes.length(0),
      image([long(2), more, null]),
    ]);
    const map = tableMap(90, 'docs', [id, json, other], { key: [0] });
    const items = await decode([...start, gtid(1n), query('BEGIN'), map, partial, xid()]);
    expect(rowsOf(items)[0]?.rows).toEqual([
      {
        before: [1, '{"é": 2.5, "list": [1, "two", {"a b": null}], "name": "x"}', '[]'],
        after: [1, '{"b": {}, "list": [1, 100000000000000000, "two", {"a b": [true]}, "last"], "name": "y\\"z"}', '[]'],
      },
      { before: [2, '{"é": 2.5, "list": [1, "two", {"a b": null}], "name": "x"}', null], after: [2, '[]', null] },
    ]);
    const image39 = (mend: Parameters<typeof encodeDiffs>[0]) =>
      rowsEvent(39, 90, [
        bytes.u16(2),
        bytes.length(3),
        bytes.bits([true, true, true]),
        bytes.bits([true, true, true]),
        image([long(1), stored, more]),
        bytes.length(1),
        bytes.bits([true, false]),
        image([long(1), encodeDiffs(mend), more]),
      ]);
    for (const wrong of [
      [0, '$.none', 'x'],
      [1, '$.name', 'x'],
      [2, '$.list[7]'],
      [0, 'name', 'x'],
      [0, '$', 'x'],
    ] as Parameters<typeof encodeDiffs>[0]) {
      await expect(decode([...start, gtid(1n), query('BEGIN'), map, image39([wrong])]), wrong[1]).rejects.toMatchObject(
        { code: 'source_protocol' },
      );
    }
    const unknown = rowsEvent(39, 90, [
      bytes.u16(2),
      bytes.length(3),
      bytes.bits([true, false, false]),
      bytes.bits([false, true, false]),
      image([long(1)]),
      bytes.length(1),
      bytes.bits([true, false]),
      image([diffs]),
    ]);
    const [minimal] = rowsOf(await decode([...start, gtid(1n), query('BEGIN'), map, unknown, xid()]));
    expect(minimal?.rows).toEqual([{ before: [1, UNKNOWN, UNKNOWN], after: [UNKNOWN, UNKNOWN, UNKNOWN] }]);
  });
});
