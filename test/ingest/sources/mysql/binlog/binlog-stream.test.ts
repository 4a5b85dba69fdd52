import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import type { BinlogItem } from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { mariadbVersions, startMariadb, type TestMariadb, type TestMariadbDatabase } from '#test/fixtures/mariadb.ts';
import { beginsOf, endOf, endsOf, openReader, positionOf, queriesOf, readAll, rowsOf } from './reader.ts';

describeWith('mariadb', "a MariaDB server's binary log", () => {
  describe.each(mariadbVersions)('of version %s', (version) => {
    let server: TestMariadb;
    let database: TestMariadbDatabase;

    beforeAll(async () => {
      server = await startMariadb(version);
      database = await server.createDatabase();
    });

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    it('tells inserts, updates and deletes in order, each transaction whole, with its id and place', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE movie (id int PRIMARY KEY, title varchar(50))');
      await database.query("INSERT INTO movie VALUES (1, 'One'), (2, 'Two')");
      await database.query('START TRANSACTION');
      await database.query("UPDATE movie SET title = 'Three' WHERE id = 2");
      await database.query('UPDATE movie SET id = 3 WHERE id = 1');
      await database.query('DELETE FROM movie WHERE id = 3');
      await database.query('COMMIT');
      const items = await readAll(server, { from });

      expect(items.map((item) => item.kind)).toEqual([
        'begin',
        'query',
        'commit',
        'begin',
        'rows',
        'commit',
        'begin',
        'rows',
        'rows',
        'rows',
        'commit',
      ]);
      expect(queriesOf(items)[0]).toMatchObject({ database: database.name, errorCode: 0 });
      expect(rowsOf(items).map(({ op, rows }) => ({ op, rows }))).toEqual([
        {
          op: 'insert',
          rows: [
            { before: null, after: [1, 'One'] },
            { before: null, after: [2, 'Two'] },
          ],
        },
        { op: 'update', rows: [{ before: [2, 'Two'], after: [2, 'Three'] }] },
        { op: 'update', rows: [{ before: [1, 'One'], after: [3, 'One'] }] },
        { op: 'delete', rows: [{ before: [3, 'One'], after: null }] },
      ]);
      const tables = new Set(rowsOf(items).map(({ table }) => table));
      expect([...tables]).toHaveLength(1);
      expect([...tables][0]).toEqual({
        database: database.name,
        name: 'movie',
        columns: [
          { name: 'id', type: { kind: 'integer', bytes: 4, isUnsigned: false }, isNullable: false, isVisible: true },
          {
            name: 'title',
            type: { kind: 'text', charset: 'utf8mb4', maxBytes: 200, isFixed: false },
            isNullable: true,
            isVisible: true,
          },
        ],
        key: [0],
        keyPrefixes: [0],
      });
      const ends = endsOf(items);
      expect(ends.map(({ gtid }) => gtid)).toEqual(beginsOf(items).map(({ gtid }) => gtid));
      expect(ends.at(-1)?.position).toBe(await endOf(server));
      const places = ends.map(({ logPosition }) => logPosition);
      expect(places).toEqual([...places].sort((a, b) => a - b));
      const [status] = await server.query('SHOW MASTER STATUS');
      expect(ends.at(-1)).toMatchObject({ log: status?.File, logPosition: Number(status?.Position) });
    });

    it('goes on after any transaction without repeating or missing one', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE counted (n int PRIMARY KEY)');
      for (let n = 0; n < 12; n++) await database.query('INSERT INTO counted VALUES (?)', [n]);
      const whole = await readAll(server, { from });
      const numbers = (items: BinlogItem[]) =>
        rowsOf(items, 'counted').flatMap(({ rows }) => rows.map(({ after }) => after?.[0]));
      expect(numbers(whole)).toEqual([...Array(12).keys()]);
      for (const [index, end] of endsOf(whole).entries()) {
        const rest = end.position === positionOf(whole) ? [] : await readAll(server, { from: end.position });
        expect(numbers(rest)).toEqual([...Array(12).keys()].slice(index));
      }
    });

    it('leaves out rows of tables that nobody wants, without decoding them', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE wanted (n int)');
      await database.query('CREATE TABLE unwanted (a varchar(9))');
      await database.query("INSERT INTO unwanted VALUES ('x')");
      await database.query('INSERT INTO wanted VALUES (1)');
      const items = await readAll(server, { from, wants: (_, table) => table === 'wanted' });
      expect(rowsOf(items).map(({ table }) => table.name)).toEqual(['wanted']);
      expect(endsOf(items)).toHaveLength(4);
      await database.query('DROP TABLE unwanted');
    });

    it('tells an altered table as another one, with rows before and after in their own shape', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE altered (id int PRIMARY KEY, hidden int)');
      await database.query('INSERT INTO altered (id, hidden) VALUES (1, 10)');
      await database.query('ALTER TABLE altered DROP COLUMN hidden, ADD COLUMN b bigint unsigned FIRST');
      await database.query('INSERT INTO altered VALUES (18446744073709551615, 2)');
      const [first, second] = rowsOf(await readAll(server, { from }), 'altered');
      expect(first?.table.columns.map(({ name }) => name)).toEqual(['id', 'hidden']);
      expect(first?.rows).toEqual([{ before: null, after: [1, 10] }]);
      expect(second?.table.columns.map(({ name }) => name)).toEqual(['b', 'id']);
      expect(second?.table.key).toEqual([1]);
      expect(second?.rows).toEqual([{ before: null, after: [18446744073709551615n, 2] }]);
    });

    it('names keys of several columns and of prefixes in key order', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE keyed (a int, b varchar(20), c blob, PRIMARY KEY (c(4), a, b(7)))');
      await database.query("INSERT INTO keyed VALUES (1, 'b', 'c')");
      await database.query('CREATE TABLE unkeyed (a int)');
      await database.query('INSERT INTO unkeyed VALUES (1)');
      const [keyed, unkeyed] = rowsOf(await readAll(server, { from }));
      expect(keyed?.table).toMatchObject({ key: [2, 0, 1], keyPrefixes: [4, 0, 7] });
      expect(unkeyed?.table).toMatchObject({ key: [], keyPrefixes: [] });
    });

    it('gives columns that the row image leaves out as unknown, never as NULL', async () => {
      const from = await endOf(server);
      await database.query(
        'CREATE TABLE partial_image (id int PRIMARY KEY, a int, b int, v int AS (a + 1) VIRTUAL, s int AS (a + 2) STORED)',
      );
      await database.query('INSERT INTO partial_image (id, a, b) VALUES (1, 2, NULL)');
      await database.query('SET SESSION binlog_row_image = MINIMAL');
      await database.query('UPDATE partial_image SET a = 3');
      await database.query('DELETE FROM partial_image');
      await database.query('SET SESSION binlog_row_image = FULL');
      const [inserted, updated, deleted] = rowsOf(await readAll(server, { from }), 'partial_image');
      expect(inserted?.rows[0]?.after?.slice(0, 3)).toEqual([1, 2, null]);
      expect(inserted?.rows[0]?.after?.[4]).toBe(4);
      expect(updated?.rows[0]?.before?.slice(0, 3)).toEqual([1, UNKNOWN, UNKNOWN]);
      expect(updated?.rows[0]?.after?.slice(0, 3)).toEqual([UNKNOWN, 3, UNKNOWN]);
      expect(deleted?.rows[0]?.before?.slice(0, 3)).toEqual([1, UNKNOWN, UNKNOWN]);
    });

    it('tells DDL of every kind as text with its database and SQL mode, CREATE TABLE … SELECT with its rows', async () => {
      const from = await endOf(server);
      await database.query("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'");
      await database.query('CREATE TABLE "as select" AS SELECT 1 AS a UNION SELECT 2');
      await database.query('SET SESSION sql_mode = DEFAULT');
      await database.query('TRUNCATE TABLE `as select`');
      await database.query('RENAME TABLE `as select` TO renamed');
      await database.query('SET NAMES latin1');
      await database.query(`ALTER TABLE renamed COMMENT 'caf\u00e9'`);
      await database.query('SET NAMES utf8mb4');
      await database.query('DROP TABLE renamed');
      const items = await readAll(server, { from });
      const queries = queriesOf(items);
      expect(queries.map(({ sql }) => sql.split(' ').slice(0, 2).join(' '))).toEqual([
        'CREATE TABLE',
        'TRUNCATE TABLE',
        'RENAME TABLE',
        'ALTER TABLE',
        'DROP TABLE',
      ]);
      expect(queries.every((query) => query.database === database.name)).toBe(true);
      expect(((queries[0]?.sqlMode ?? 0n) & 0x100004n) === 0x100004n).toBe(true);
      expect(((queries[1]?.sqlMode ?? 0n) & 0x100004n) === 0n).toBe(true);
      expect(rowsOf(items).flatMap(({ rows }) => rows.map(({ after }) => after?.[0]))).toEqual([1, 2]);
      expect(endsOf(items).every(({ kind }) => kind === 'commit')).toBe(true);
    });

    it('gives prepared XA transactions with their id, and their end as a transaction of its own', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE prepared (n int PRIMARY KEY) ENGINE=InnoDB');
      for (const [n, end] of [
        [1, 'COMMIT'],
        [2, 'ROLLBACK'],
      ] as const) {
        await database.query(`XA START 'g${n}', 'b', 7`);
        await database.query('INSERT INTO prepared VALUES (?)', [n]);
        await database.query(`XA END 'g${n}', 'b', 7`);
        await database.query(`XA PREPARE 'g${n}', 'b', 7`);
        await database.query(`XA ${end} 'g${n}', 'b', 7`);
      }
      await database.query("XA START 'one'");
      await database.query('INSERT INTO prepared VALUES (3)');
      await database.query("XA END 'one'");
      await database.query("XA COMMIT 'one' ONE PHASE");
      const items = (await readAll(server, { from })).slice(3);
      const xids = ["X'6731',X'62',7", "X'6732',X'62',7"];
      expect(endsOf(items).map(({ kind, xid, xa }) => ({ kind, xid, xa }))).toEqual([
        { kind: 'prepare', xid: xids[0], xa: null },
        { kind: 'commit', xid: null, xa: { xid: xids[0], outcome: 'commit' } },
        { kind: 'prepare', xid: xids[1], xa: null },
        { kind: 'rollback', xid: null, xa: { xid: xids[1], outcome: 'rollback' } },
        { kind: 'commit', xid: null, xa: null },
      ]);
      expect(beginsOf(items).map(({ xid }) => xid)).toEqual([xids[0], xids[0], xids[1], xids[1], null]);
      expect(rowsOf(items).map(({ rows }) => rows[0]?.after)).toEqual([[1], [2], [3]]);
    });

    it('passes over savepoints, and what was rolled back to one is not told', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE saved (n int) ENGINE=InnoDB');
      await database.query('START TRANSACTION');
      await database.query('INSERT INTO saved VALUES (1)');
      await database.query('SAVEPOINT `a b`');
      await database.query('INSERT INTO saved VALUES (2)');
      await database.query('ROLLBACK TO SAVEPOINT `a b`');
      await database.query('INSERT INTO saved VALUES (3)');
      await database.query('COMMIT');
      const items = await readAll(server, { from });
      expect(rowsOf(items).flatMap(({ rows }) => rows.map(({ after }) => after?.[0]))).toEqual([1, 3]);
    });

    it('tells changes of tables without transactions, beside and inside of transactions that are rolled back', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE plain (n int) ENGINE=MyISAM');
      await database.query('CREATE TABLE safe (n int) ENGINE=InnoDB');
      await database.query('INSERT INTO plain VALUES (1)');
      await database.query('UPDATE plain SET n = 2');
      await database.query('START TRANSACTION');
      await database.query('INSERT INTO safe VALUES (3)');
      await database.query('INSERT INTO plain VALUES (4)');
      await database.query('ROLLBACK');
      const items = await readAll(server, { from });
      const told: unknown[] = [];
      for (const end of endsOf(items).filter(({ kind }) => kind === 'commit')) {
        const at = items.findIndex((item) => item.kind === 'begin' && item.gtid === end.gtid);
        told.push(
          ...rowsOf(items.slice(at, items.indexOf(end))).map(({ table, rows }) => [table.name, rows[0]?.after]),
        );
      }
      expect(told).toEqual([
        ['plain', [1]],
        ['plain', [2]],
        ['plain', [4]],
      ]);
    });

    it('follows transactions of several domains, each from where it was left', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE domains (n int)');
      for (const [n, domain] of [5, 0, 7, 5].entries()) {
        await database.query(`SET SESSION gtid_domain_id = ${domain}`);
        await database.query('INSERT INTO domains VALUES (?)', [n]);
      }
      await database.query('SET SESSION gtid_domain_id = 0');
      const items = await readAll(server, { from });
      expect(endsOf(items).at(-1)?.position).toBe(await endOf(server));
      expect(endsOf(items).map(({ gtid }) => gtid.split('-')[0])).toEqual(['0', '5', '0', '7', '5']);
      for (const [index, { position }] of endsOf(items).slice(0, -1).entries()) {
        const rest = rowsOf(await readAll(server, { from: position })).map(({ rows }) => rows[0]?.after?.[0]);
        expect(rest).toEqual([0, 1, 2, 3].slice(index));
      }
    });

    it('tells statements where the log is not of rows', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE stated (n int)');
      await database.query("SET SESSION binlog_format = 'STATEMENT'");
      await database.query('SET @n = 5');
      await database.query('INSERT INTO stated VALUES (@n)');
      await database.query("SET SESSION binlog_format = 'ROW'");
      const items = await readAll(server, { from });
      expect(queriesOf(items).at(-1)).toMatchObject({ sql: 'INSERT INTO stated VALUES (@n)' });
      expect(items.slice(-3).map(({ kind }) => kind)).toEqual(['begin', 'query', 'commit']);
    });

    it('an early started ALTER is told once, where it ends', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE early (n int)');
      await database.query('SET SESSION binlog_alter_two_phase = ON');
      await database.query('ALTER TABLE early ADD COLUMN m int');
      await database.query('SET SESSION binlog_alter_two_phase = OFF');
      await database.query('INSERT INTO early VALUES (1, 2)');
      const items = await readAll(server, { from });
      expect(queriesOf(items)).toHaveLength(2);
      expect(queriesOf(items)[1]?.sql).toContain('ALTER TABLE early ADD COLUMN m int');
      expect(rowsOf(items)[0]?.rows).toEqual([{ before: null, after: [1, 2] }]);
      expect(endsOf(items).map(({ kind }) => kind)).not.toContain('rollback');
    });

    it('says when there is nothing more, and goes on when there is', async () => {
      const from = await endOf(server);
      const stream = await openReader(server, { from, heartbeatMs: 200 });
      const first = (await stream.read()) ?? [];
      expect(first.length).toBeGreaterThan(0);
      expect(first.map((item) => [item.kind, positionOf([item])])).toEqual(first.map(() => ['idle', from]));
      await database.query('CREATE TABLE later (n int)');
      let items: readonly BinlogItem[] = [];
      while (!items.some(({ kind }) => kind === 'commit')) items = (await stream.read()) ?? [];
      expect(positionOf(items)).toBe(await endOf(server));
      const waiting = stream.read().then(async (read) => (read === null ? null : await stream.read()));
      await stream.close();
      expect(await waiting).toBeNull();
      expect(await stream.read()).toBeNull();
    });

    it('follows the server into new logs, and over a restart with other options', async () => {
      const from = await endOf(server);
      await database.query('CREATE TABLE rotated (n int)');
      for (let n = 0; n < 3; n++) {
        await database.query('INSERT INTO rotated VALUES (?)', [n]);
        await server.query('FLUSH BINARY LOGS');
      }
      const stream = await openReader(server, { from });
      const items: BinlogItem[] = [];
      while (rowsOf(items).length < 3) items.push(...((await stream.read()) ?? []));
      expect(new Set(endsOf(items).map(({ log }) => log)).size).toBeGreaterThanOrEqual(3);
      await server.stop();
      const broken = async () => {
        for (;;) items.push(...((await stream.read()) ?? []));
      };
      await expect(broken()).rejects.toMatchObject({ code: 'source_unreachable' });
      const position = positionOf(items) ?? '';
      await server.start({ 'binlog-checksum': 'NONE' });
      await server.query(`INSERT INTO ${database.name}.rotated VALUES (3)`);
      await server.query('SET GLOBAL binlog_checksum = CRC32');
      await server.query(`INSERT INTO ${database.name}.rotated VALUES (4)`);
      database = { ...database, query: async (sql, values) => server.query(sql, values) };
      const rest = await readAll(server, { from: position });
      expect(rowsOf(rest).flatMap(({ rows }) => rows.map(({ after }) => after?.[0]))).toEqual([3, 4]);
    });
  });
});
