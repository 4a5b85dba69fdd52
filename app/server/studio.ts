import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ServerDeps } from './server-deps.ts';

/** Who signs in by a button in the demo, in the order of the buttons. */
export const demoRoles = ['admin', 'analyst', 'owner', 'staff'] as const;
export type DemoRole = (typeof demoRoles)[number];

export function demoEmail(role: DemoRole): string {
  return `${role}@studio.example`;
}

/** The sample studio's addresses as its process wrote them, with those that sign a browser in; null outside the demo. */
export async function readStudio({
  environment,
  isDemo,
}: Pick<ServerDeps, 'environment' | 'isDemo'>): Promise<unknown | null> {
  if (!isDemo) return null;
  const signIn = Object.fromEntries(demoRoles.map((role) => [role, `${environment.url}/sign-in/demo/${role}`]));
  try {
    const text = await readFile(path.join(environment.home, 'studio.json'), 'utf8');
    const { databases, edge, sheets, airtable } = JSON.parse(text) as Record<string, unknown>;
    return { databases, edge, sheets, airtable, signIn };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { signIn };
    throw error;
  }
}
