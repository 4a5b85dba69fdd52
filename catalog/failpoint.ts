/**
 * Places at which a test may make the process die, to prove that nothing is lost or doubled when it does. Off unless
 * `DAILIES_FAILPOINT=name` (or `name:n`, at the n-th pass from the process' start) is set.
 */
export type Failpoint =
  | 'before-log-append'
  | 'after-log-append'
  | 'after-chunk-append'
  | 'before-data-files'
  | 'after-data-files'
  | 'after-table-commit'
  | 'after-index-update'
  | 'before-ack'
  | 'after-ack';

export const failpoints: readonly Failpoint[] = [
  'before-log-append',
  'after-log-append',
  'after-chunk-append',
  'before-data-files',
  'after-data-files',
  'after-table-commit',
  'after-index-update',
  'before-ack',
  'after-ack',
];

const [armed, pass = '1'] = (process.env.DAILIES_FAILPOINT ?? '').split(':');
let passesLeft = Number(pass);

/** Ends this process at once, as `kill -9` would, if it is the pass that DAILIES_FAILPOINT names. */
export function failpoint(name: Failpoint): void {
  if (name !== armed) return;
  passesLeft -= 1;
  if (passesLeft === 0) process.kill(process.pid, 'SIGKILL');
}
