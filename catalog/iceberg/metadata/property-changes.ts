/** The properties without those named; names that are not there are passed over. */
export function withoutProperties(
  properties: Readonly<Record<string, string>>,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => !names.includes(key)));
}
