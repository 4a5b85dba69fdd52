/** Begins the names of all log groups of a pipeline. */
export function groupPrefix(pipeline: string): string {
  return `${pipeline}/`;
}
