'use client';

import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { NuqsAdapter } from 'nuqs/adapters/next/app';
import { type ReactNode, Suspense, useState } from 'react';
import { isRefusal } from './api.ts';
import { Shell } from './shell.tsx';
import { theme } from './theme.ts';

export function Providers({ children }: { children: ReactNode }) {
  const [client] = useState(makeClient);
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <Notifications position="bottom-right" autoClose={6000} />
      <QueryClientProvider client={client}>
        <NuqsAdapter>
          <Suspense>
            <Shell>{children}</Shell>
          </Suspense>
        </NuqsAdapter>
      </QueryClientProvider>
    </MantineProvider>
  );
}

/** A refusal (4xx) is final; a server that is not there is asked again a few times, with words meanwhile. */
function makeClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: (failures, error) => !isRefusal(error) && failures < 3,
        staleTime: 1000,
        refetchOnWindowFocus: true,
      },
      mutations: { retry: false },
    },
  });
}
