import { describeMatrix } from '../read-matrix.ts';

const java = {
  'partition-fixed': 'Iceberg for Java takes a fixed value of a partition for one with a length before it',
};

describeMatrix({
  'iceberg-rust': { 'nested-evolution': 'iceberg-rust cannot read files from before a struct got another field' },
  flink: { ...java, time: 'Flink has times of milliseconds', conditions: 'Flink is asked for whole tables' },
  trino: {
    ...java,
    conditions: 'Trino is asked for whole tables',
    'deletion-vectors': 'Trino reads deletion vectors from version 480 on, and 476 is what can be had',
  },
});
