/** The catalog's graph: keyed by name, so that it can stand in a federated graph. */
export const typeDefs = /* GraphQL */ `
  "An instant, ISO 8601 in UTC"
  scalar DateTime
  "Any JSON value"
  scalar JSON

  type Query {
    "Tables of the warehouse, by name"
    tables(search: String): [Table!]!
    table(name: String!): Table
    reports: [Report!]!
    report(name: String!): Report
    pipelines: [Pipeline!]!
    sources: [Source!]!
    "People who own tables, pipelines or reports"
    owners: [Owner!]!
  }

  type Table {
    "namespace.table"
    name: String!
    title: String
    description: String
    owner: Owner
    rows: Float!
    key: [String!]!
    "Everything committed at the source before this instant is in the table"
    freshAsOf: DateTime
    changedAt: DateTime!
    fields: [Field!]!
    "A few rows, as you may see them"
    sample(limit: Int = 5): JSON
    pipeline: Pipeline
    "Names of the source tables behind it: source.schema.table"
    sources: [String!]!
    reports: [Report!]!
    lineage: Lineage!
  }

  type Field {
    "Dotted for a nested field"
    name: String!
    type: String!
    required: Boolean!
    isKey: Boolean!
    description: String
    origin: String
  }

  type Report {
    name: String!
    title: String
    owner: Owner!
    isPaused: Boolean!
    schedule: JSON
    nextRunAt: DateTime
    reads: [String!]!
    "Newest first"
    runs(limit: Int = 50): [Run!]!
  }

  type Run {
    id: ID!
    "queued, running, succeeded, partial or failed"
    state: String!
    trigger: String!
    requestedBy: String!
    rows: Float
    "Why it failed, in one sentence"
    error: String
    createdAt: DateTime!
    startedAt: DateTime
    endedAt: DateTime
    attempts: [Attempt!]!
    destinations: [Destination!]!
  }

  type Attempt {
    number: Int!
    startedAt: DateTime!
    endedAt: DateTime
    error: String
  }

  type Destination {
    kind: String!
    target: String!
    state: String!
    "Rows that it now holds of this run"
    delivered: Int!
    added: Int!
    changed: Int!
    removed: Int!
    "Write requests sent"
    written: Int!
    errors: [DeliveryError!]!
  }

  type DeliveryError {
    key: JSON
    message: String!
  }

  type Pipeline {
    name: String!
    owner: Owner
    state: String!
    from: [String!]!
    steps: [String!]!
    tables: [String!]!
    rows: Float!
    eventsPerSecond: Float!
    deadLetters: Int!
    freshAsOf: DateTime
    lastError: String
  }

  type Source {
    name: String!
    kind: String!
    state: String!
    tables: [String!]!
    pipelines: [String!]!
    lastError: String
  }

  type Owner {
    email: String!
    tables: [String!]!
    pipelines: [String!]!
    reports: [String!]!
  }

  type Lineage {
    nodes: [LineageNode!]!
    edges: [LineageEdge!]!
  }

  type LineageNode {
    id: ID!
    "source-table, pipeline, table, report or destination"
    kind: String!
    name: String!
    detail: String
  }

  type LineageEdge {
    from: ID!
    to: ID!
  }
`;

/** What a federated graph asks of us; our own types are found again by these keys. */
export const federationTypeDefs = /* GraphQL */ `
  scalar _Any
  scalar federation__FieldSet
  directive @key(fields: federation__FieldSet!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE
  union _Entity = Table | Report | Pipeline | Owner
  type _Service {
    sdl: String!
  }
  extend type Query {
    _service: _Service!
    _entities(representations: [_Any!]!): [_Entity]!
  }
`;

/** The schema as a federation gateway composes it. */
export const serviceSdl = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])\n${withKeys(typeDefs)}`;

function withKeys(sdl: string): string {
  return sdl
    .replace('type Table {', 'type Table @key(fields: "name") {')
    .replace('type Report {', 'type Report @key(fields: "name") {')
    .replace('type Pipeline {', 'type Pipeline @key(fields: "name") {')
    .replace('type Owner {', 'type Owner @key(fields: "email") {');
}
