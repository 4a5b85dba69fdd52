import { once } from 'node:events';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import type { BinlogItem } from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { parseGtidSet } from '#ingest/sources/mysql/binlog/gtid.ts';
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
      await database.query('CREATE TABLE unwanted (a varchar(9) CHARACTER SET big5)');
      await database.query("INSERT INTO unwanted VALUES ('x')");
      await database.query('INSERT INTO wanted VALUES (1)');
      const items = await readAll(server, { from, wants: (_, table) => table === 'wanted' });
      expect(rowsOf(items).map(({ table }) => table.name)).toEqual(['wanted']);
      expect(endsOf(items)).toHaveLength(4);
      await expect(readAll(server, { from, wants: (_, table) => table === 'unwanted' })).rejects.toMatchObject({
        code: 'type_unsupported',
        details: { column: `"a" of table ${database.name}.unwanted`, charset: 'big5' },
      });
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
      expect(await stream.read()).toMatchObject([{ kind: 'idle', position: from }]);
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

  it('a purged log, or another history, is a lost one', async () => {
    await using server = await startMariadb('10.11');
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int)');
    const early = await endOf(server);
    await database.query('INSERT INTO t VALUES (1)');
    await server.purgeLogs();
    const late = await endOf(server);
    await database.query('INSERT INTO t VALUES (2)');
    // Too old, from the beginning, beyond the end, another domain, another server's transaction.
    for (const from of [early, '', '0-1-9999', '7-1-3', '0-5-3']) {
      const stream = await openReader(server, { from });
      await expect(stream.read(), from).rejects.toMatchObject({ code: 'source_slot_lost', details: { from } });
      await stream.close();
    }
    expect(rowsOf(await readAll(server, { from: late }))).toHaveLength(1);
  });

  it('a log without the names of its columns is refused with the setting that mends it', async () => {
    await using server = await startMariadb('11.4', { 'binlog-row-metadata': 'NO_LOG' });
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int)');
    await database.query('INSERT INTO t VALUES (1)');
    await expect(readAll(server)).rejects.toMatchObject({
      code: 'source_not_ready',
      message: expect.stringContaining('SET GLOBAL binlog_row_metadata = FULL'),
    });
  });

  it('compressed and encrypted logs read as others do', async () => {
    const fs = await import('node:fs');
    const os = await import('node:os');
    const path = await import('node:path');
    const keys = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-keys-')), 'keys');
    fs.writeFileSync(keys, '1;a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a\n');
    for (const options of [
      { 'log-bin-compress': 'ON', 'log-bin-compress-min-len': '10' },
      {
        'plugin-load-add': 'file_key_management',
        'file-key-management-filename': keys,
        'encrypt-binlog': 'ON',
      },
    ]) {
      await using server = await startMariadb('10.11', options);
      await using database = await server.createDatabase();
      await database.query('CREATE TABLE t (n int PRIMARY KEY, a text, b text)');
      await database.query("INSERT INTO t VALUES (1, REPEAT('a', 5000), NULL), (2, REPEAT('b', 5000), 'x')");
      await database.query('UPDATE t SET b = a');
      await database.query('DELETE FROM t WHERE n = 1');
      const items = await readAll(server);
      const [a, b] = ['a'.repeat(5000), 'b'.repeat(5000)];
      expect(rowsOf(items).flatMap(({ op, rows }) => rows.map((row) => ({ op, ...row })))).toEqual([
        { op: 'insert', before: null, after: [1, a, null] },
        { op: 'insert', before: null, after: [2, b, 'x'] },
        { op: 'update', before: [1, a, null], after: [1, a, a] },
        { op: 'update', before: [2, b, 'x'], after: [2, b, b] },
        { op: 'delete', before: [1, a, a], after: null },
      ]);
      expect(queriesOf(items).at(-1)?.sql).toBe('CREATE TABLE t (n int PRIMARY KEY, a text, b text)');
    }
  });

  it('values of 40 MB, in packets that are continued, come whole', async () => {
    await using server = await startMariadb('11.4');
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int PRIMARY KEY, a longblob)');
    await database.query("INSERT INTO t VALUES (1, REPEAT('x', 40000000)), (2, 'small')");
    // Exactly at the bounds of a packet's length.
    for (let extra = 0; extra < 3; extra++) {
      await database.query(`INSERT INTO t VALUES (${10 + extra}, REPEAT('y', ${0xffffff - 50 + extra * 8}))`);
    }
    await database.query("UPDATE t SET a = 'less' WHERE n = 1");
    const all = rowsOf(await readAll(server)).flatMap(({ rows }) => rows);
    const size = (value: unknown) => (value instanceof Uint8Array ? value.length : null);
    expect(all.map(({ before, after }) => [size(before?.[1]), size(after?.[1])])).toEqual([
      [null, 40_000_000],
      [null, 5],
      [null, 0xffffff - 50],
      [null, 0xffffff - 42],
      [null, 0xffffff - 34],
      [40_000_000, 4],
    ]);
    const big = all[0]?.after?.[1];
    expect(big instanceof Uint8Array && big.every((byte) => byte === 120)).toBe(true);
  });

  it('a reader slower than net_write_timeout holds the server back, not more than a few MB, and loses nothing', async () => {
    await using server = await startMariadb('10.11', { 'net-write-timeout': '1' });
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int PRIMARY KEY, a longtext)');
    let relayed = 0;
    const proxy = net.createServer((client) => {
      const upstream = net.connect(server.port, '127.0.0.1');
      upstream.on('data', (chunk) => {
        relayed += chunk.length;
      });
      client.on('error', () => upstream.destroy());
      upstream.on('error', () => client.destroy());
      client.pipe(upstream).pipe(client);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const address = proxy.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    for (let n = 0; n < 60; n++) await database.query(`INSERT INTO t VALUES (${n}, REPEAT('z', 1000000))`);
    const stream = await openReader(server, {
      server: { host: '127.0.0.1', port, user: 'root', password: '', tls: null },
    });
    const items: BinlogItem[] = [...((await stream.read()) ?? [])];
    // Three times the server's own patience, with nothing read.
    const until = performance.now() + 3_500;
    while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(relayed).toBeLessThan(40_000_000);
    while (rowsOf(items).length < 60) items.push(...((await stream.read()) ?? []));
    expect(rowsOf(items).map(({ rows }) => rows[0]?.after?.[0])).toEqual([...Array(60).keys()]);
    await stream.close();
    proxy.close();
  });

  it('a log that is cut at any byte gives whole transactions up to there, and the rest from there', async () => {
    await using server = await startMariadb('11.4');
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int PRIMARY KEY AUTO_INCREMENT, a text)');
    for (let n = 0; n < 120; n++) {
      await database.query(`INSERT INTO t (a) VALUES (REPEAT('c', ${(n * 37) % 3000})), ('${n}'), (NULL)`);
    }
    const whole = rowsOf(await readAll(server)).flatMap(({ rows }) => rows);
    expect(whole).toHaveLength(360);
    const seed = Number(process.env.BINLOG_SEED ?? Date.now() % 1_000_000);
    console.log(`BINLOG_SEED=${seed}`);
    let state = seed;
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return state % below;
    };
    const proxy = net.createServer((client) => {
      const upstream = net.connect(server.port, '127.0.0.1');
      let left = random(2) === 0 ? 500 + random(2_000) : 5_000 + random(90_000);
      const end = () => {
        client.destroy();
        upstream.destroy();
      };
      client.on('data', (chunk) => upstream.write(chunk));
      upstream.on('data', (chunk: Buffer) => {
        client.write(chunk.subarray(0, left));
        left -= chunk.length;
        if (left <= 0) client.end();
      });
      client.on('error', end).on('close', end);
      upstream.on('error', end).on('close', end);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const address = proxy.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const kept: unknown[] = [];
    let position = '';
    let attempts = 0;
    const end = parseGtidSet('mariadb', await endOf(server));
    while (!parseGtidSet('mariadb', position).contains(end)) {
      attempts += 1;
      let open: unknown[] = [];
      try {
        const stream = await openReader(server, {
          from: position,
          server: { host: '127.0.0.1', port, user: 'root', password: '', tls: null },
        });
        for (
          let read = await stream.read();
          read !== null && !parseGtidSet('mariadb', position).contains(end);
          read = await stream.read()
        ) {
          for (const item of read) {
            if (item.kind === 'begin') open = [];
            else if (item.kind === 'rows') open.push(...item.rows);
            else if (item.kind === 'commit') {
              kept.push(...open);
              position = item.position;
            }
          }
        }
        await stream.close();
      } catch (error) {
        expect(error).toMatchObject({ code: 'source_unreachable' });
      }
    }
    proxy.close();
    expect(attempts).toBeGreaterThan(1);
    expect(kept).toEqual(whole);
  });
});
