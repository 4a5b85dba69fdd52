import { z } from 'zod';
import type { SourceModule } from '../../source.ts';
import { MysqlSource } from './mysql-source.ts';

/** Both kinds of server are told apart by what they say of themselves; an address of one kind may lead to the other. */
function configOf(scheme: 'mysql' | 'mariadb') {
  return z.strictObject({
    url: z
      .string()
      .min(1)
      .meta({
        title: 'Server URL',
        description:
          'Of a user with REPLICATION SLAVE and REPLICATION CLIENT (BINLOG MONITOR) who may read the tables. Options: ssl-mode, ssl-ca, ssl-cert, ssl-key, socket.',
        secret: true,
        examples: [`${scheme}://dailies:password@db.studio.example:3306`],
      }),
    tables: z
      .array(z.string().min(1))
      .min(1)
      .meta({
        title: 'Tables',
        description: 'database.table as the server holds it; * stands for any characters, nothing else is special.',
        examples: [['production.movie', 'production.talent_*']],
      }),
  });
}

const mysqlConfig = configOf('mysql');
const mariadbConfig = configOf('mariadb');
const schemes = ['mysql', 'mariadb'] as const;

export const mysql: SourceModule<typeof mysqlConfig> = {
  kind: 'source',
  id: 'mysql',
  title: 'MySQL',
  summary: 'Follows the tables of a MySQL server through its binary log: their rows as they are, then every change.',
  schemes,
  config: mysqlConfig,
  open: (settings, deps) => new MysqlSource(settings, deps),
};

export const mariadb: SourceModule<typeof mariadbConfig> = {
  kind: 'source',
  id: 'mariadb',
  title: 'MariaDB',
  summary: 'Follows the tables of a MariaDB server through its binary log: their rows as they are, then every change.',
  schemes,
  config: mariadbConfig,
  open: (settings, deps) => new MysqlSource(settings, deps),
};
