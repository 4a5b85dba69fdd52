import type { NewFiles } from './new-files.ts';
import type { StageTarget } from './staged-rows.ts';
import type { TableIndex } from './table-index.ts';
import type { TableShape } from './table-shape.ts';
import type { WorkingFiles } from './working-files.ts';

/** Where a table's staged rows are written out to: its new files and its index. */
export function stageTarget(parts: {
  index: TableIndex;
  files: WorkingFiles;
  newFiles: NewFiles;
  shape: TableShape;
  /** Null once the table's folders are there. */
  makeFolders(): Promise<void> | null;
}): StageTarget {
  const { index, files, newFiles, shape } = parts;
  return {
    get isIndexed() {
      return index.isUsed;
    },
    find: (key) => index.find(key),
    findAll: (hash) => index.findAll(hash),
    readRows: async (places) => {
      for (const location of new Set(places.map((place) => place.location))) await newFiles.close(location);
      return await files.readRows(places, { schema: shape.schema, iceberg: shape.state.schema.fields });
    },
    deleteRow: (place) => {
      if (!newFiles.isOpen(place.location)) return files.deleteRow(place);
      return newFiles.close(place.location).then(() => files.deleteRow(place));
    },
    writeRow: (row) => {
      const write = () => newFiles.write(row, () => shape.layout());
      if (newFiles.isWriting) return write();
      return parts.makeFolders()?.then(write) ?? write();
    },
    note: (key, place, removed) => index.note(key, place, removed),
  };
}
