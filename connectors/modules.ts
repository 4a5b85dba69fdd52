import { airtable } from './airtable/airtable.ts';
import type { DestinationModule } from './destination.ts';
import { file } from './file/file.ts';
import { googleSheets } from './google-sheets/google-sheets.ts';

/** Every destination of the product. A new one is a folder and a line here. */
export const destinations: readonly DestinationModule[] = [googleSheets, airtable, file];
