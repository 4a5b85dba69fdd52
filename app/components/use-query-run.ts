'use client';

import { useMutation, useQuery } from '@tanstack/react-query';
import { api } from './api.ts';

export interface RunRequest {
  sql: string;
  parameters: Record<string, unknown>;
  /** An instant (ISO 8601), a tag, branch or snapshot id; null is now. */
  asOf: string | null;
}

/** Follows one query from its id: polled while it runs, kept when it has ended. */
export function useQueryState(id: string | null) {
  return useQuery({
    queryKey: ['sql', id],
    queryFn: ({ signal }) => api.sql.get.query({ id: id ?? '' }, { signal }),
    enabled: id !== null,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchInterval: (query) => {
      const state = query.state.data?.state;
      if (state !== undefined && state !== 'queued' && state !== 'running') return false;
      return query.state.dataUpdateCount < 20 ? 100 : 500;
    },
  });
}

export function useSubmitQuery(onSubmitted: (id: string) => void) {
  return useMutation({
    mutationFn: (request: RunRequest) => api.sql.submit.mutate(request),
    onSuccess: ({ id }) => onSubmitted(id),
  });
}

export function isEnded(state: string | undefined): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
