'use client';

import { useQuery } from '@tanstack/react-query';
import { createContext, useContext } from 'react';
import { type Answers, api } from './api.ts';

export type Session = Answers['session']['get'];
export type SignedIn = NonNullable<Session['who']>;

export function useSession() {
  return useQuery({ queryKey: ['session'], queryFn: () => api.session.get.query(), staleTime: 30_000 });
}

export const WhoContext = createContext<SignedIn | null>(null);

/** The person who looks at this page; only below the shell, which shows nothing to anybody else. */
export function useWho(): SignedIn {
  const who = useContext(WhoContext);
  if (!who) throw new Error('useWho is for pages inside the shell');
  return who;
}
