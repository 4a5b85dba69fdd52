'use client';

import { useParams } from 'next/navigation';

/** A name out of the address, decoded; one that is not well encoded stays as it stands. */
export function useParam(name: string): string {
  const value = useParams()[name];
  const text = Array.isArray(value) ? value.join('/') : (value ?? '');
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
