/** Whether a process of this number runs, anybody's; false for what is no process number. */
export function isProcessAlive(pid: number): boolean {
  // 0 and below mean groups of processes to the system.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    // Alive, but somebody else's.
    return thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM';
  }
}
