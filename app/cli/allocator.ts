/**
 * Environment of our processes for glibc's allocator, read over by others. Left to itself it has an arena for each thread and
 * raises the size from which memory is given back: buffers of a few MiB that came and went (pieces of snapshots, records of
 * the log) held 120 MiB of a worker for ever.
 */
export const allocatorSettings: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(1 << 20),
  MALLOC_TRIM_THRESHOLD_: String(1 << 20),
};
