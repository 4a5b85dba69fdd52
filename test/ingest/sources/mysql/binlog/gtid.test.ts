import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader } from '#ingest/sources/mysql/binlog/byte-reader.ts';
import { parseGtidSet } from '#ingest/sources/mysql/binlog/gtid.ts';
import { MysqlGtidSet } from '#ingest/sources/mysql/binlog/mysql-gtid-set.ts';

const a = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const b = '4350f323-7565-4e59-8763-4b1b83a0ce0e';
const mysql = (text: string) => parseGtidSet('mysql', text);
const mariadb = (text: string) => parseGtidSet('mariadb', text);

describe("MySQL's GTID sets", () => {
  it('are printed as the server prints them: sorted, merged, without blanks', () => {
    expect(mysql('').toString()).toBe('');
    expect(mysql(`${a}:1-5`).toString()).toBe(`${a}:1-5`);
    expect(mysql(`${b}:7,\n ${a.toUpperCase()}:9:3-4:5:1`).toString()).toBe(`${a}:1:3-5:9,${b}:7`);
    expect(mysql(`${a}:5-1:2`).toString()).toBe(`${a}:2`);
    // refman 8.4, 19.1.3.1: tags follow their source's untagged numbers.
    expect(mysql(`${a}:1-3:Domain_1:4-5:domain_0:1:2`).toString()).toBe(`${a}:1-3:domain_0:1-2:domain_1:4-5`);
    expect(mysql(`${a}:9223372036854775806`).toString()).toBe(`${a}:9223372036854775806`);
  });

  it('what is none is refused by its text', () => {
    for (const text of ['x', a, `${a}:`, `${a}:x-1`, `${a}:1-2-3`, `${a}:-1`, '0-1-2', `${a}:1:9tag:3`]) {
      expect(() => mysql(text), text).toThrow(expect.objectContaining({ code: 'source_protocol' }));
    }
    for (const gtid of [`${a}`, `${a}:0`, `${a}:1-2`, `${a}:9t:1`, 'x:1']) {
      expect(() => mysql('').add(gtid), gtid).toThrow(expect.objectContaining({ code: 'source_protocol' }));
    }
    expect(() => mysql(`${a}:1`).contains(mariadb('0-1-1'))).toThrow(
      expect.objectContaining({ code: 'source_protocol' }),
    );
  });

  it('agree with sets of numbers, whatever is added, joined, compared, sent', () => {
    const sources = [a, b, `${a}:tag`, `${b}:other_1`];
    const numbers = fc.array(fc.tuple(fc.constantFrom(...sources), fc.integer({ min: 1, max: 30 })), { maxLength: 40 });
    fc.assert(
      fc.property(numbers, numbers, (left, right) => {
        const build = (list: [string, number][]) => {
          const set = mysql('');
          for (const [source, number] of list) set.add(`${source}:${number}`);
          return set;
        };
        const texts = (list: [string, number][]) => new Set(list.map(([source, number]) => `${source}:${number}`));
        const [one, two] = [build(left), build(right)];
        const [plainOne, plainTwo] = [texts(left), texts(right)];
        expect(mysql(one.toString()).equals(one)).toBe(true);
        const beyond = (of: Set<string>, other: Set<string>) => [...of].filter((gtid) => !other.has(gtid)).length;
        expect(one.contains(two)).toBe(beyond(plainTwo, plainOne) === 0);
        expect(one.equals(two)).toBe(beyond(plainOne, plainTwo) + beyond(plainTwo, plainOne) === 0);
        expect(one.countBeyond(two)).toBe(BigInt(beyond(plainOne, plainTwo)));
        expect(one.union(two).equals(build([...left, ...right]))).toBe(true);
        for (const gtid of plainTwo) expect(one.has(gtid)).toBe(plainOne.has(gtid));
        const sent = one instanceof MysqlGtidSet ? one.encode() : Buffer.alloc(0);
        expect(MysqlGtidSet.decode(new ByteReader(sent)).toString()).toBe(one.toString());
      }),
    );
  });

  it('are sent as the server documents it, tags only where there are some', () => {
    const plain = MysqlGtidSet.parse(`${a}:1-5:7`).encode();
    expect(plain.toString('hex')).toBe(
      `0100000000000000${a.replaceAll('-', '')}0200000000000000` +
        '01000000000000000600000000000000' +
        '07000000000000000800000000000000',
    );
    const tagged = MysqlGtidSet.parse(`${a}:1:ab:2`).encode();
    expect(tagged.toString('hex')).toBe(
      `0102000000000001${a.replaceAll('-', '')}00010000000000000001000000000000000200000000000000` +
        `${a.replaceAll('-', '')}046162010000000000000002000000000000000300000000000000`,
    );
  });
});

describe("MariaDB's GTID positions", () => {
  it('hold the last transaction of each domain', () => {
    const set = mariadb(' 1-3-7,\n0-1-42 ');
    expect(set.toString()).toBe('0-1-42,1-3-7');
    set.add('0-2-43');
    set.add('10-1-1');
    set.add('2-1-1');
    expect(set.toString()).toBe('0-2-43,1-3-7,2-1-1,10-1-1');
    set.add('0-1-5');
    expect(set.has('0-9-43') && set.has('1-1-1') && !set.has('1-1-8') && !set.has('7-1-1')).toBe(true);
    expect(set.toString()).toContain('0-2-43');
  });

  it('compare by their numbers', () => {
    expect(mariadb('0-1-5').contains(mariadb('0-2-5'))).toBe(true);
    expect(mariadb('0-1-5').contains(mariadb('0-1-6'))).toBe(false);
    expect(mariadb('0-1-5').contains(mariadb('0-1-5,1-1-1'))).toBe(false);
    expect(mariadb('0-1-5,1-1-1').contains(mariadb(''))).toBe(true);
    expect(mariadb('0-1-5').equals(mariadb('0-1-5'))).toBe(true);
    expect(mariadb('0-1-5').union(mariadb('0-2-9,3-1-1')).toString()).toBe('0-2-9,3-1-1');
    expect(mariadb('0-1-9,3-1-1').countBeyond(mariadb('0-1-5'))).toBe(5n);
    expect(mariadb('0-1-18446744073709551615').toString()).toBe('0-1-18446744073709551615');
    for (const text of ['0-1', '0-1-x', `${a}:1`, '0--1-1']) {
      expect(() => mariadb(text), text).toThrow(expect.objectContaining({ code: 'source_protocol' }));
    }
  });
});
