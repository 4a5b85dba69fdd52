import { filter } from './processors/filter.ts';
import { graphqlEnrich } from './processors/graphql-enrich.ts';
import { project } from './processors/project.ts';
import { icebergSink } from './sinks/iceberg.ts';
import { kafka } from './sources/kafka/kafka.ts';
import { mariadb, mysql } from './sources/mysql/mysql.ts';
import { postgres } from './sources/postgres/postgres.ts';
import { producer } from './sources/producer/producer.ts';

/** Every source, processor and sink of this product. A new one is one line here. */
export const sources = [postgres, mysql, mariadb, producer, kafka] as const;
export const processors = [filter, project, graphqlEnrich] as const;
export const sinks = [icebergSink] as const;
