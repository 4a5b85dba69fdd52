/** The properties without those named; names that are not there are passed over. */
export function withoutProperties(
  properties: Readonly<Record<string, string>>,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => !names.includes(key)));
}

/** Where a table and a view are changed alike: their place and their properties. */
export type PlaceUpdate =
  | { action: 'set-location'; location: string }
  | { action: 'set-properties'; updates: Readonly<Record<string, string>> }
  | { action: 'remove-properties'; removals: readonly string[] };

/** Applies it to the metadata of a table or a view. */
export function applyPlaceUpdate(
  metadata: { location: string; properties?: Record<string, string> | undefined },
  update: PlaceUpdate,
): void {
  switch (update.action) {
    case 'set-location':
      metadata.location = update.location.replace(/\/+$/, '');
      return;
    case 'set-properties':
      metadata.properties = { ...metadata.properties, ...update.updates };
      return;
    case 'remove-properties':
      metadata.properties = withoutProperties(metadata.properties ?? {}, update.removals);
  }
}
