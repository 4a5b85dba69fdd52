'use client';

import { Failure } from './components/failure.tsx';
import { Page } from './components/page-header.tsx';

export default function PageFailed({ error, reset }: { error: Error; reset: () => void }) {
  return (
    <Page>
      <Failure error={error} what="This page stopped working." retry={reset} />
    </Page>
  );
}
