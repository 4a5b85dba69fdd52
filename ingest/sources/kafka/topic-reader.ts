/** One record of a topic, as a Kafka client or a recording has it. */
export interface TopicRecord {
  offset: number;
  /** Milliseconds since 1970 UTC, of the broker or the producer; null where nobody told. */
  timestampMs: number | null;
  key: Uint8Array | null;
  /** Null: a tombstone. */
  value: Uint8Array | null;
  /** Names of its headers. */
  headers: readonly string[];
  /** What it takes at its place, about. */
  bytes: number;
}

/** What a partition holds at a moment. Offsets may have gaps (compaction, marks of transactions), but only ever grow. */
export interface PartitionExtent {
  topic: string;
  partition: number;
  /** Of the oldest record that is still there; `next` where there is none. */
  first: number;
  /** Of the record that will come next. */
  next: number;
  /** Of all records there are, about. */
  bytes: number;
}

export interface PartitionPlace {
  topic: string;
  partition: number;
  /** Of the next record to be read. */
  offset: number;
}

/** Where topics are: a folder of recordings, later a cluster. Errors are `source_…`, and `value_unsupported` for a record that cannot be read. */
export interface TopicReader {
  /** All partitions of all topics, in the order of their names and numbers. */
  extents(signal: AbortSignal): Promise<PartitionExtent[]>;

  /** Up to about `maxBytes` of consecutive records from `place` on, at least one if there is one; none at the end. Offsets that are gone are skipped. */
  read(place: PartitionPlace, maxBytes: number, signal: AbortSignal): Promise<TopicRecord[]>;

  /** The last records of a partition, oldest first: about `maxBytes` of them, fewer where there are fewer. */
  readLast(topic: string, partition: number, maxBytes: number, signal: AbortSignal): Promise<TopicRecord[]>;

  /** Resolves when something may have been added since the last call, after `ms`, or when aborted. */
  changed(ms: number, signal: AbortSignal): Promise<void>;

  close(): Promise<void>;
}
