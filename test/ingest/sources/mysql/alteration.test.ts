import { describe, expect, test } from 'vitest';
import type { Alteration } from '#ingest/sources/mysql/alteration.ts';
import type { MadeColumn } from '#ingest/sources/mysql/made-column.ts';
import { readStatement } from '#ingest/sources/mysql/statement.ts';

function read(clauses: string, sqlMode = 0n): Alteration {
  const statement = readStatement(`ALTER TABLE t ${clauses}`, 'd', sqlMode);
  if (statement.kind !== 'alter') throw new Error(`not an alteration: ${statement.kind}`);
  return statement.alteration;
}

function only(clauses: string): MadeColumn {
  const { columns } = read(clauses);
  expect(columns).toHaveLength(1);
  return columns[0] as MadeColumn;
}

describe('what an ALTER TABLE makes of columns', () => {
  test.each([
    ['INTEGER', 'int'],
    ['INT(11) UNSIGNED ZEROFILL', 'int unsigned'],
    ['bigint(5) zerofill', 'bigint unsigned'],
    ['BOOL', 'tinyint'],
    ['INT3 SIGNED', 'mediumint'],
    ['DEC', 'decimal(10,0)'],
    ['NUMERIC(7)', 'decimal(7,0)'],
    ['FIXED ( 7 , 2 ) UNSIGNED', 'decimal(7,2) unsigned'],
    ['DOUBLE PRECISION', 'double'],
    ['REAL(7,3)', 'double(7,3)'],
    ['FLOAT(24)', 'float'],
    ['FLOAT(25)', 'double'],
    ['FLOAT(7,4)', 'float(7,4)'],
    ['BIT', 'bit(1)'],
    ['CHAR', 'char(1)'],
    ['CHARACTER VARYING (9)', 'varchar(9)'],
    ['LONG', 'mediumtext'],
    ['LONG VARBINARY', 'mediumblob'],
    ['CHAR(4) BYTE', 'binary(4)'],
    ['VARCHAR(4) CHARACTER SET binary', 'varbinary(4)'],
    ['MEDIUMTEXT CHARSET binary', 'mediumblob'],
    ['YEAR(4)', 'year'],
    ['DATETIME(0)', 'datetime'],
    ['TIME(3)', 'time(3)'],
    ['GEOMCOLLECTION', 'geometrycollection'],
    ['VECTOR', 'vector(2048)'],
    [String.raw`ENUM('a','it''s','b\\c','d  ')`, String.raw`enum('a','it''s','b\\c','d')`],
    [String.raw`ENUM('a\nb','c\td\0','\%\q\'')`, `enum('a\\nb','c\td\\0','\\\\%q''')`],
    ['TEXT(65535)', 'text(65535)'],
    ['TEXT(5) BYTE', 'blob(5)'],
    ['set( "x", "y" )', "set('x','y')"],
    ['SOMETHING_ELSE(3)', 'something_else(3)'],
  ])('MODIFY c %s: %s', (written, type) => {
    expect(only(`MODIFY c ${written}`).type).toBe(type);
  });

  test.each([
    ['VARCHAR(9)', null],
    ['VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_bin', 'latin1'],
    ['VARCHAR(9) CHARSET utf8', 'utf8mb3'],
    ['VARCHAR(9) COLLATE utf8_bin', 'utf8mb3'],
    ["VARCHAR(9) COMMENT 'CHARSET latin1' COLLATE 'utf8mb4_bin'", 'utf8mb4'],
    ['VARCHAR(9) COLLATE uca1400_ai_ci', null],
    ['NATIONAL VARCHAR(9)', 'utf8mb3'],
    ['NCHAR(9)', 'utf8mb3'],
    ['NVARCHAR(9)', 'utf8mb3'],
    ['CHAR(9) ASCII', 'latin1'],
    ['CHAR(9) UNICODE', 'ucs2'],
    ['VARCHAR(9) BYTE', null],
    ["VARCHAR(9) CHECK (c > _latin1'x' COLLATE latin1_bin)", null],
  ])('MODIFY c %s: the character set %s', (written, charset) => {
    expect(only(`MODIFY c ${written}`).charset).toBe(charset);
  });

  test.each([
    ['INT', true],
    ['INT NULL DEFAULT NULL', true],
    ['INT NOT NULL', false],
    ['INT DEFAULT NULL', true],
    ["INT COMMENT 'NOT NULL' CHECK (c IS NOT NULL)", true],
    ['INT UNIQUE KEY', true],
    ['INT KEY', false],
    ['INT PRIMARY KEY', false],
    ['INT AUTO_INCREMENT UNIQUE', false],
    ['BIGINT SERIAL DEFAULT VALUE', false],
    ['SERIAL', false],
    ['TIMESTAMP(3)', null],
    ['TIMESTAMP NULL', true],
    ['TIMESTAMP NOT NULL', false],
    ['INT REFERENCES p (id) ON DELETE SET NULL', true],
    ['INT AFTER `NOT`', true],
  ])('MODIFY c %s: may be NULL: %s', (written, isNullable) => {
    expect(only(`MODIFY c ${written}`).isNullable).toBe(isNullable);
  });

  test.each([
    ['INT', false, false],
    ['INT DEFAULT 5', true, false],
    ['INT DEFAULT NULL', false, false],
    ['VARCHAR(36) DEFAULT (UUID()) NULL', true, false],
    ["INT COMMENT 'DEFAULT 5'", false, false],
    ['INT AS (a + 1) VIRTUAL', false, true],
    ['INT GENERATED ALWAYS AS (a + 1) STORED', false, true],
  ])('ADD c %s: a default: %s, generated: %s', (written, hasDefault, isGenerated) => {
    expect(only(`ADD c ${written}`)).toMatchObject({ isAdded: true, hasDefault, isGenerated });
  });

  test.each([
    ['ADD a INT, ADD COLUMN b INT FIRST, MODIFY c INT AFTER a', ['+a', '+b', 'c']],
    ['ADD (a DECIMAL(3,1), `b c` INT), ADD INDEX (a, b), DROP x', ['+a', '+b c']],
    ['ADD COLUMN IF NOT EXISTS a INT, MODIFY IF EXISTS B INT, CHANGE COLUMN IF EXISTS c D INT', ['+a?', 'b?', 'd?']],
    ['MODIFY t.a INT, CHANGE d.t.b t.c INT', ['a', 'c']],
    ['ADD UNIQUE (a), ADD KEY k (a), ADD PRIMARY KEY (a), ADD CONSTRAINT c CHECK (a > 1)', []],
    ['ADD FOREIGN KEY (a) REFERENCES p (b), ADD PARTITION (PARTITION p), ADD SYSTEM VERSIONING', []],
    ['ADD PERIOD FOR p (a, b), ADD VECTOR INDEX (a), ADD FULLTEXT INDEX (a), ADD CHECK (a > 1)', []],
    ['ADD `index` INT, ADD COLUMN system INT', ['+index', '+system']],
    ['NOWAIT MODIFY a INT', ['a']],
    ['WAIT 5 ADD a INT', ['+a']],
    ['ALTER a SET DEFAULT 5, ALTER COLUMN b DROP DEFAULT, RENAME INDEX a TO b', []],
    ["COMMENT 'MODIFY a INT, ADD b INT'", []],
  ])('%s: %j', (clauses, expected) => {
    const { columns } = read(clauses);
    const names = columns.map(
      ({ name, isAdded, isConditional }) => `${isAdded ? '+' : ''}${name}${isConditional ? '?' : ''}`,
    );
    expect(names).toEqual(expected);
  });

  test.each([
    ['CONVERT TO CHARACTER SET utf8', 'utf8mb3', null],
    ['CONVERT TO CHARSET latin1 COLLATE latin1_bin, ADD a INT', 'latin1', null],
    ['CONVERT TO CHARACTER SET DEFAULT', 'default', null],
    ['ENGINE = InnoDB DEFAULT CHARACTER SET = ucs2', null, 'ucs2'],
    ['COLLATE = latin1_bin', null, 'latin1'],
    ['MODIFY a VARCHAR(9) CHARSET latin1', null, null],
    ['ORDER BY a, b', null, null],
  ])('%s: converted to %s, made in %s', (clauses, convertsTo, defaultCharset) => {
    expect(read(clauses)).toMatchObject({ convertsTo, defaultCharset });
  });

  test('a column that keeps its name is only defined anew', () => {
    expect(read('CHANGE `a` a BIGINT')).toMatchObject({ dropped: [], renamesColumns: false });
    expect(read('CHANGE a b BIGINT')).toMatchObject({ dropped: ['a'], renamesColumns: true });
  });

  test('names in double quotes where the session has them so', () => {
    expect(read('MODIFY "a b" INT', 0x4n).columns).toMatchObject([{ name: 'a b', type: 'int' }]);
  });
});
