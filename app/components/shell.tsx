'use client';

import { Tooltip } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { openSpotlight } from '@mantine/spotlight';
import {
  IconDatabase,
  IconFileSpreadsheet,
  IconHome,
  IconReport,
  IconRoute,
  IconSearch,
  IconServer,
  IconTable,
  IconUsers,
} from '@tabler/icons-react';
import Link from 'next/link';
import { usePathname, useRouter } from 'next/navigation';
import { type ReactNode, useEffect, useState } from 'react';
import { Failure } from './failure.tsx';
import { Finder } from './finder.tsx';
import { Keys } from './keys.tsx';
import { Loading } from './loading.tsx';
import { SchemeToggle } from './scheme-toggle.tsx';
import { type Session, useSession, WhoContext } from './session.tsx';
import css from './shell.module.css';
import { UserMenu } from './user-menu.tsx';

const places = [
  { href: '/', label: 'Home', icon: IconHome, letter: 'h' },
  { href: '/catalog', label: 'Catalog', icon: IconTable, letter: 'c' },
  { href: '/sql', label: 'SQL', icon: IconDatabase, letter: 's' },
  { href: '/reports', label: 'Reports', icon: IconReport, letter: 'r' },
  { href: '/pipelines', label: 'Pipelines', icon: IconRoute, letter: 'p' },
] as const;

const adminPlaces = [
  { href: '/people', label: 'People & policy', icon: IconUsers, letter: 'o' },
  { href: '/system', label: 'System', icon: IconServer, letter: 'y' },
] as const;

const openTo = ['/sign-in', '/welcome'];

/** The rail and everything around a page. Pages outside the rail (sign-in, welcome) stand alone. */
export function Shell({ children }: { children: ReactNode }) {
  const path = usePathname();
  if (openTo.includes(path)) return <main className={css.bare}>{children}</main>;
  return <Guarded path={path}>{children}</Guarded>;
}

function Guarded({ path, children }: { path: string; children: ReactNode }) {
  const session = useSession();
  const router = useRouter();
  const isOut = session.data !== undefined && session.data.who === null;
  useEffect(() => {
    if (isOut) router.replace(`/sign-in?next=${encodeURIComponent(window.location.pathname + window.location.search)}`);
  }, [isOut, router]);
  if (session.error && !session.data) {
    return (
      <main className={css.bare}>
        <Failure error={session.error} retry={() => session.refetch()} />
      </main>
    );
  }
  const who = session.data?.who ?? null;
  return (
    <div className={css.frame}>
      <a className={css.skip} href="#content">
        Skip to content
      </a>
      <Rail path={path} session={session.data} />
      <main id="content" className={css.content} tabIndex={-1}>
        {who ? <WhoContext value={who}>{children}</WhoContext> : <Loading what="Dailies" />}
      </main>
    </div>
  );
}

function Rail({ path, session }: { path: string; session: Session | undefined }) {
  const router = useRouter();
  const [keysOpen, setKeysOpen] = useState(false);
  const who = session?.who ?? null;
  const all = [...places, ...(who?.isAdmin ? adminPlaces : [])];
  useHotkeys([['shift+?', () => setKeysOpen(true)]]);
  useGoKeys(all, router.push);
  return (
    <nav className={css.rail} aria-label="Main">
      <Link href="/" className={css.brand}>
        <span className={css.slate} aria-hidden />
        <span className={css.word}>Dailies</span>
      </Link>
      <button type="button" className={css.find} onClick={openSpotlight}>
        <IconSearch size={15} aria-hidden />
        <span className={css.word}>Find anything</span>
        <kbd className={`${css.word} ${css.kbd}`}>Ctrl K</kbd>
      </button>
      {places.map((place) => (
        <Place key={place.href} {...place} path={path} />
      ))}
      {who?.isAdmin && (
        <>
          <hr className={css.rule} />
          {adminPlaces.map((place) => (
            <Place key={place.href} {...place} path={path} />
          ))}
        </>
      )}
      {session?.hasStudio && (
        <>
          <hr className={css.rule} />
          <Place href="/studio/sheet" label="Stakeholder's sheet" icon={IconFileSpreadsheet} path={path} />
        </>
      )}
      <div className={css.foot}>
        <SchemeToggle />
        <Keys opened={keysOpen} onOpen={() => setKeysOpen(true)} onClose={() => setKeysOpen(false)} places={all} />
        {who && <UserMenu who={who} />}
      </div>
      {who && <Finder places={all} />}
    </nav>
  );
}

interface PlaceProps {
  href: string;
  label: string;
  icon: typeof IconHome;
  path: string;
}

function Place({ href, label, icon: Icon, path }: PlaceProps) {
  const isHere = href === '/' ? path === '/' : path === href || path.startsWith(`${href}/`);
  return (
    <Tooltip label={label} position="right" classNames={{ tooltip: css.tip ?? '' }}>
      <Link
        href={href}
        className={css.place}
        data-here={isHere || undefined}
        aria-current={isHere ? 'page' : undefined}
      >
        <Icon size={17} stroke={1.6} aria-hidden />
        <span className={css.word}>{label}</span>
      </Link>
    </Tooltip>
  );
}

/** `g` and then a place's letter goes there, as long as nobody is writing. */
function useGoKeys(all: readonly { href: string; letter: string }[], go: (href: string) => void): void {
  useEffect(() => {
    let armedAt = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
      if (event.key === 'g') {
        armedAt = event.timeStamp;
        return;
      }
      const place = all.find((candidate) => candidate.letter === event.key);
      if (place && armedAt > 0 && event.timeStamp - armedAt < 1200) {
        event.preventDefault();
        go(place.href);
      }
      armedAt = 0;
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [all, go]);
}

function isWriting(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}
