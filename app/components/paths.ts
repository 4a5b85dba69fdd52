/** The address of each thing's page; names may hold anything. */
export const pathOf = {
  table: (name: string) => `/catalog/${encodeURIComponent(name)}`,
  column: (table: string, column?: string | null) =>
    `/catalog/${encodeURIComponent(table)}${column ? `?column=${encodeURIComponent(column)}` : ''}`,
  report: (name: string) => `/reports/${encodeURIComponent(name)}`,
  pipeline: (name: string) => `/pipelines/${encodeURIComponent(name)}`,
  sql: (sql: string) => `/sql?q=${encodeURIComponent(sql)}`,
};
