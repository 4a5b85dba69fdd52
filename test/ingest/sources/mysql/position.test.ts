import { describe, expect, test } from 'vitest';
import { flavorOf, formatPosition, logDistance, parsePosition } from '#ingest/sources/mysql/position.ts';

const uuid = '3e11fa47-71ca-11e1-9e33-c80aa9429562';

describe('a position', () => {
  test.each([
    ['mariadb', '0-1-42,1-1-7 binlog.000003:4711'],
    ['mariadb', " binlog.000001:4 X'6162',X'',1@0-1-40,1-1-7 X'61',X'62',-1@"],
    ['mysql', `${uuid}:1-5:7 my%20log.000003:5000000000`],
    ['mysql', ` binlog.000001:157`],
  ] as const)('of %s is the same text again: %s', (flavor, text) => {
    expect(formatPosition(parsePosition(flavor, text))).toBe(text);
  });

  test('tells the family of its server, and of another family is lost', () => {
    expect(flavorOf('0-1-42 binlog.000003:4711')).toBe('mariadb');
    expect(flavorOf(`${uuid}:1-5 binlog.000003:4711`)).toBe('mysql');
    expect(flavorOf(' binlog.000003:4711')).toBeNull();
    expect(() => parsePosition('mysql', '0-1-42 binlog.000003:4711')).toThrow(/another kind of server than MySQL/);
    expect(() => parsePosition('mariadb', 'gibberish')).toThrow(/another kind of server than MariaDB/);
  });

  test('is as far from another as the logs between hold bytes, where they are known', () => {
    const at = (text: string) => parsePosition('mariadb', text);
    const sizes = new Map([
      ['b.000001', 1000],
      ['b.000002', 500],
      ['b.000003', 50],
    ]);
    expect(logDistance(at('0-1-10 b.000001:100'), at('0-1-12 b.000001:400'), sizes)).toBe(300);
    expect(logDistance(at('0-1-10 b.000001:900'), at('0-1-12 b.000003:20'), sizes)).toBe(620);
    expect(logDistance(at('0-1-10 gone.000001:900'), at('0-1-12 b.000003:20'), sizes)).toBe(2);
    expect(logDistance(at('0-1-12 b.000001:400'), at('0-1-12 b.000002:4'), sizes)).toBe(0);
    expect(logDistance(at('0-1-12 b.000001:400'), at('0-1-10 b.000001:100'), sizes)).toBe(0);
  });
});
