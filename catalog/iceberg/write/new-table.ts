/** Properties of tables that our writer makes: what engines that write them too should do as we do. */
export const newTableProperties: Readonly<Record<string, string>> = {
  'write.format.default': 'parquet',
  'write.parquet.compression-codec': 'zstd',
  'write.delete.mode': 'merge-on-read',
  'write.update.mode': 'merge-on-read',
  'write.merge.mode': 'merge-on-read',
  'write.metadata.previous-versions-max': '20',
  'write.metadata.delete-after-commit.enabled': 'true',
};
