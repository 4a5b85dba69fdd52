import { readFile } from 'node:fs/promises';
import { z } from 'zod';

/** One of the 3,201 real films of the package vega-datasets, as far as the sample studio uses it. */
export interface Film {
  title: string;
  genre: string | null;
  rating: string | null;
  runtimeMinutes: number | null;
  budget: number | null;
  /** YYYY-MM-DD */
  released: string;
  basedOn: string | null;
}

const filmSchema = z.object({
  Title: z.union([z.string(), z.number()]).nullable(),
  'Major Genre': z.string().nullable(),
  'MPAA Rating': z.string().nullable(),
  'Running Time min': z.number().nullable(),
  'Production Budget': z.number().nullable(),
  'Release Date': z.string(),
  Source: z.string().nullable(),
});

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export async function readFilms(): Promise<Film[]> {
  const file = new URL('../data/movies.json', import.meta.resolve('vega-datasets'));
  const entries = z.array(filmSchema).parse(JSON.parse(await readFile(file, 'utf8')));
  return entries.map((entry) => ({
    title: String(entry.Title ?? 'Untitled'),
    genre: entry['Major Genre'],
    rating: entry['MPAA Rating'],
    runtimeMinutes: entry['Running Time min'],
    budget: entry['Production Budget'],
    released: readDay(entry['Release Date']),
    basedOn: entry.Source,
  }));
}

/** `Jun 12 1998`. Years from 2012 on are the data's mistake for the same year of the century before. */
function readDay(text: string): string {
  const [month = '', day = '', year = ''] = text.split(' ');
  const real = Number(year) > 2011 ? Number(year) - 100 : Number(year);
  return `${real}-${String(months.indexOf(month) + 1).padStart(2, '0')}-${day}`;
}
