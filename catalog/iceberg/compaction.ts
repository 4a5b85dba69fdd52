import type { WorkingFile } from './working-files.ts';

/** A file is small below both of these. */
const smallRows = 50_000;
const smallBytes = 16 << 20;
/** Small files are rewritten as one beyond this many: each costs a scan its opening and a commit its deletes. */
const maxSmallFiles = 32;
/** A larger file is rewritten once this part of its rows is deleted. */
const maxDeletedPart = 0.3;

/** The files that are worth rewriting as one now; empty if none. Only committed files are given. */
export function compactionOf(files: readonly WorkingFile[]): WorkingFile[] {
  const small = files.filter(({ file }) => file.recordCount < smallRows && file.sizeBytes < smallBytes);
  if (small.length > maxSmallFiles) return small;
  const worst = files
    .filter(({ file }) => file.recordCount >= smallRows)
    .map((file) => ({ file, part: deletedRows(file) / file.file.recordCount }))
    .filter(({ part }) => part >= maxDeletedPart)
    .sort((a, b) => b.part - a.part)[0];
  return worst ? [worst.file] : [];
}

function deletedRows(file: WorkingFile): number {
  return file.deletes.reduce((sum, entry) => sum + entry.file.recordCount, 0);
}
