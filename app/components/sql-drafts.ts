'use client';

import { useCallback, useEffect, useState } from 'react';
import { z } from 'zod';
import { parameterTypes } from './sql-parameters.ts';

const draft = z.object({
  id: z.string(),
  name: z.string(),
  sql: z.string(),
  /** An instant (ISO 8601 with zone), a tag, branch or snapshot id; null is now. */
  asOf: z.string().nullable(),
  parameters: z.record(z.string(), z.object({ type: z.enum(parameterTypes), text: z.string() })),
  /** The last query that ran from this tab. */
  queryId: z.string().nullable(),
});
export type Draft = z.infer<typeof draft>;

const stored = z.object({ drafts: z.array(draft).min(1), activeId: z.string() });
type Stored = z.infer<typeof stored>;

/** Tabs of the SQL page, kept in this browser for each person as they write. Null until read. */
export function useDrafts(email: string) {
  const key = `dailies.sql.${email}`;
  const [state, setState] = useState<Stored | null>(null);
  useEffect(() => setState(read(key)), [key]);
  useEffect(() => {
    if (state) window.localStorage.setItem(key, JSON.stringify(state));
  }, [key, state]);

  const open = useCallback((sql: string, name?: string) => {
    setState((now) => {
      if (!now) return now;
      const active = now.drafts.find((candidate) => candidate.id === now.activeId);
      // A tab in which nothing was written yet gives way to one that brings something.
      const isSpent = sql !== '' && active?.sql.trim() === '';
      const kept = isSpent ? now.drafts.filter((candidate) => candidate !== active) : now.drafts;
      const fresh = newDraft(kept, sql, name);
      return { drafts: [...kept, fresh], activeId: fresh.id };
    });
  }, []);
  const change = useCallback((id: string, changes: Partial<Draft>) => {
    setState(
      (now) =>
        now && {
          ...now,
          drafts: now.drafts.map((candidate) => (candidate.id === id ? { ...candidate, ...changes } : candidate)),
        },
    );
  }, []);
  const close = useCallback((id: string) => {
    setState((now) => {
      if (!now) return now;
      const at = now.drafts.findIndex((candidate) => candidate.id === id);
      const left = now.drafts.filter((candidate) => candidate.id !== id);
      const drafts = left.length > 0 ? left : [newDraft([], '')];
      const neighbour = drafts[Math.min(at, drafts.length - 1)] ?? drafts[0];
      return { drafts, activeId: now.activeId === id && neighbour ? neighbour.id : now.activeId };
    });
  }, []);
  const activate = useCallback((id: string) => setState((now) => now && { ...now, activeId: id }), []);
  const active = state
    ? (state.drafts.find((candidate) => candidate.id === state.activeId) ?? state.drafts[0])
    : undefined;
  return { drafts: state?.drafts ?? [], active: active ?? null, open, change, close, activate };
}

function read(key: string): Stored {
  const text = window.localStorage.getItem(key);
  if (text !== null) {
    const parsed = stored.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
  }
  const first = newDraft([], '');
  return { drafts: [first], activeId: first.id };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function newDraft(others: readonly Draft[], sql: string, name?: string): Draft {
  const taken = new Set(others.map((other) => other.name));
  let free = name ?? 'untitled';
  for (let number = 2; taken.has(free); number += 1) free = `${name ?? 'untitled'} ${number}`;
  return { id: crypto.randomUUID(), name: free, sql, asOf: null, parameters: {}, queryId: null };
}
