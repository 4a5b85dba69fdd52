'use client';

import type { Answers } from './api.ts';
import { Section } from './page-header.tsx';
import { useWho } from './session.tsx';

/** Who may see the table, in words. */
export function TableAccess({ table }: { table: Answers['tables']['get'] }) {
  const who = useWho();
  return (
    <>
      <Section title="Who may see it">
        <p>Everybody who is signed in and has a role reads all rows and columns: no policy restricts this table.</p>
      </Section>
      <Section title="You">
        <p>
          You are {who.email}, {who.roles.length > 0 ? `with the role ${who.roles.join(', ')}` : 'without a role'}: you
          may {who.mayRunSql ? 'read it and query it' : 'not read it; ask an admin for a role'}.
        </p>
      </Section>
      <Section title="Who answers for it">
        <p>
          {table.owner
            ? `${table.owner} owns it, through the pipeline that fills it. Ask there about its meaning and about changes.`
            : 'Nobody yet. An owner is named in the pipeline that fills it.'}
        </p>
      </Section>
    </>
  );
}
