import { describeMatrix } from '../read-matrix.ts';

describeMatrix({
  'iceberg-rust': { 'nested-evolution': 'iceberg-rust cannot read files from before a struct got another field' },
  flink: { time: 'Flink has times of milliseconds', conditions: 'Flink is asked for whole tables' },
  trino: {
    conditions: 'Trino is asked for whole tables',
    'deletion-vectors': 'Trino reads deletion vectors from version 480 on, and 476 is what can be had',
  },
});
