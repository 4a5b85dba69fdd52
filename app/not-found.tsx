import Link from 'next/link';
import { EmptyState } from './components/empty-state.tsx';
import { Page } from './components/page-header.tsx';

export default function NotFound() {
  return (
    <Page>
      <EmptyState title="There is no page at this address" action={<Link href="/">Go to Home</Link>}>
        It may have been renamed. Ctrl K finds tables, reports and pipelines by name.
      </EmptyState>
    </Page>
  );
}
