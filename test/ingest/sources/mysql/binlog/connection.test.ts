import { createPrivateKey, createPublicKey, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { openBinlog } from '#ingest/sources/mysql/binlog/binlog-stream.ts';
import { signEd25519 } from '#ingest/sources/mysql/binlog/ed25519.ts';
import { MysqlGtidSet } from '#ingest/sources/mysql/binlog/mysql-gtid-set.ts';
import { connectServer, query } from '#ingest/sources/mysql/binlog/server-connection.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { startMariadb } from '#test/fixtures/mariadb.ts';
import { bytes, event, formatDescription, gtid, query as queryEvent, uuid } from './encode.ts';
import { startMysqlServer } from './mysql-server.ts';
import { openReader } from './reader.ts';

const { signal } = new AbortController();
const local = { host: '127.0.0.1', tls: null };

describe('a MySQL server', () => {
  it.each([
    ['with the hash at hand', { isCached: true }],
    ["by the server's RSA key", { isCached: false }],
    ['after another plugin was named', { greetingPlugin: 'mysql_native_password' }],
    ['after a plugin was named that we do not speak', { greetingPlugin: 'sha256_password', isCached: false }],
  ])('is logged into by caching_sha2_password %s', async (_, options) => {
    await using server = await startMysqlServer({
      user: 'reader',
      password: 'pass wört',
      answers: { version: [['8.4.3', null]] },
      ...options,
    });
    const connection = await connectServer(
      { ...local, port: server.port, user: 'reader', password: 'pass wört' },
      signal,
    );
    expect(connection).toMatchObject({ flavor: 'mysql', version: '8.4.3' });
    expect(await query(connection, 'SELECT version()')).toEqual([['8.4.3', null]]);
    connection.socket.close();
    const wrong = connectServer({ ...local, port: server.port, user: 'reader', password: 'else' }, signal);
    await expect(wrong).rejects.toMatchObject({ code: 'source_refused', details: { user: 'reader' } });
    await expect(wrong).rejects.not.toMatchObject({ message: expect.stringContaining('else') });
  });

  it('needs no answer for an empty password, and TLS that was asked for is never done without', async () => {
    await using server = await startMysqlServer({ user: 'reader', password: '' });
    const address = { ...local, port: server.port, user: 'reader', password: '' };
    (await connectServer(address, signal)).socket.close();
    (await connectServer({ ...address, tls: { isRequired: false, options: {} } }, signal)).socket.close();
    await expect(connectServer({ ...address, tls: { isRequired: true, options: {} } }, signal)).rejects.toMatchObject({
      code: 'source_refused',
      message: expect.stringContaining('TLS'),
    });
  });

  const answers = {
    COLLATIONS: [
      ['255', 'utf8mb4'],
      ['63', 'binary'],
    ],
  };
  const options = (port: number, from: string) => ({
    flavor: 'mysql' as const,
    server: { ...local, port, user: 'reader', password: 'p' },
    serverId: 4_000_000_000,
    from,
    wants: () => true,
  });

  it('is asked for what follows a GTID set, as a replica with checksums and heartbeats', async () => {
    let request = Buffer.alloc(0);
    const rotate = event(4, [bytes.u64(4n), Buffer.from('binlog.000003')], { flags: 0x20, endPosition: 0 });
    await using server = await startMysqlServer({
      user: 'reader',
      password: 'p',
      answers,
      dump: (command) => {
        request = Buffer.from(command);
        return [rotate, formatDescription(), gtid(3n), queryEvent('DROP TABLE t')];
      },
    });
    const stream = await openBinlog({ ...options(server.port, `${uuid}:1-2`), heartbeatMs: 250 }, signal);
    const items = [];
    while (items.length < 3) items.push(...((await stream.read()) ?? []));
    expect(items.at(-1)).toMatchObject({ kind: 'commit', position: `${uuid}:1-3`, log: 'binlog.000003' });
    expect(request.subarray(23).equals(MysqlGtidSet.parse(`${uuid}:1-2`).encode())).toBe(true);
    expect(request.readUInt16LE(1)).toBe(4);
    expect(request.readUInt32LE(3)).toBe(4_000_000_000);
    expect(request.readUInt32LE(7)).toBe(0);
    expect(request.readBigUInt64LE(11)).toBe(4n);
    expect(request.readUInt32LE(19)).toBe(request.length - 23);
    const set = server.statements.find((sql) => sql.startsWith('SET ')) ?? '';
    expect(set).toContain('@source_binlog_checksum = @@global.binlog_checksum');
    expect(set).toContain('@source_heartbeat_period = 250000000');
    await stream.close();
  });

  it('that has purged what follows, or has another history, is told from one that fails otherwise', async () => {
    const message = 'Cannot replicate because the source purged required binary logs.';
    for (const [purged, executed, code] of [
      [`${uuid}:1-5`, `${uuid}:1-9`, 'source_slot_lost'],
      ['', `${uuid}:1`, 'source_slot_lost'],
      [`${uuid}:1-2`, `${uuid}:1-9`, 'source_protocol'],
    ] as const) {
      await using server = await startMysqlServer({
        user: 'reader',
        password: 'p',
        answers: { ...answers, gtid_purged: [[purged, executed]] },
        dump: () => ({ number: 1236, message }),
      });
      const stream = await openBinlog(options(server.port, `${uuid}:1-2`), signal);
      await expect(stream.read(), purged).rejects.toMatchObject({
        code,
        message: expect.stringContaining('purged required'),
      });
      await expect(stream.read()).rejects.toMatchObject({ code });
    }
  });

  it('that falls silent is given up, one that is slow in its heartbeats is not', async () => {
    await using server = await startMysqlServer({
      user: 'reader',
      password: 'p',
      answers,
      dump: () => [formatDescription()],
    });
    const stream = await openBinlog({ ...options(server.port, ''), silentMs: 300 }, signal);
    await expect(stream.read()).rejects.toMatchObject({ code: 'source_unreachable' });
  });

  it('is not taken for a MariaDB server, nor anything else for a server', async () => {
    await using server = await startMysqlServer({ user: 'reader', password: 'p' });
    const wrong = openBinlog({ ...options(server.port, ''), flavor: 'mariadb' }, signal);
    await expect(wrong).rejects.toMatchObject({ code: 'source_refused', message: expect.stringContaining('8.4.3') });
    const web = net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const address = web.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    await expect(openBinlog(options(port, ''), signal)).rejects.toMatchObject({ code: 'source_unreachable' });
    web.close();
    await once(web, 'close');
    await expect(openBinlog(options(port, ''), signal)).rejects.toMatchObject({
      code: 'source_unreachable',
      message: expect.stringContaining('Nothing answers'),
    });
    await expect(openBinlog(options(port, ''), AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('Ed25519 signatures', () => {
  it("with secrets of 32 bytes are those of Node's own implementation", () => {
    for (let round = 0; round < 5; round++) {
      const [secret, message] = [randomBytes(32), randomBytes(round * 13)];
      const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), secret]);
      const key = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
      expect(verify(null, message, key, signEd25519(secret, message))).toBe(true);
    }
  });
});

describeWith('mariadb', 'a MariaDB server', () => {
  it('is logged into by each of its plugins, in the clear and encrypted; privileges that lack are named', async () => {
    await using server = await startMariadb('11.4', {
      ssl: 'ON',
      'plugin-dir': '/usr/lib/mysql/plugin',
      'plugin-load-add': 'auth_ed25519',
    });
    await server.query("CREATE USER native IDENTIFIED BY 'pass word'");
    await server.query("CREATE USER curve IDENTIFIED VIA ed25519 USING PASSWORD('sécret of some length')");
    await server.query('GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO curve');
    await server.query("CREATE USER 'o''clock' IDENTIFIED BY ''");
    const cipher = "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'";
    for (const [user, password] of [
      ['root', ''],
      ['native', 'pass word'],
      ['curve', 'sécret of some length'],
    ] as const) {
      for (const tls of [null, { isRequired: true, options: { rejectUnauthorized: false } }]) {
        const connection = await connectServer({ host: '127.0.0.1', port: server.port, user, password, tls }, signal);
        expect(connection.flavor).toBe('mariadb');
        expect((await query(connection, cipher))[0]?.[0] !== '').toBe(tls !== null);
        connection.socket.close();
      }
      const wrong = connectServer({ ...local, port: server.port, user, password: 'wrong' }, signal);
      await expect(wrong).rejects.toMatchObject({ code: 'source_refused' });
    }
    const verified = {
      host: '127.0.0.1',
      port: server.port,
      user: 'root',
      password: '',
      tls: { isRequired: true, options: {} },
    };
    await expect(connectServer(verified, signal)).rejects.toMatchObject({ code: 'source_refused' });
    const viaSocket = { ...verified, tls: null, socketPath: server.socketPath };
    (await connectServer(viaSocket, signal)).socket.close();

    const curve = { ...local, port: server.port, user: 'curve', password: 'sécret of some length' };
    const stream = await openReader(server, { server: curve });
    expect((await stream.read())?.length).toBeGreaterThan(0);
    await stream.close();
    await expect(openReader(server, { server: { ...curve, user: "o'clock", password: '' } })).rejects.toMatchObject({
      code: 'source_not_ready',
      message: expect.stringContaining("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'o''clock'@'%';"),
    });
  });
});
