import cronstrue from 'cronstrue';

/** A cron schedule in words; null while it is not one. */
export function cronSentence(cron: string): string | null {
  try {
    return cronstrue.toString(cron, { use24HourTimeFormat: true, verbose: false });
  } catch {
    return null;
  }
}
